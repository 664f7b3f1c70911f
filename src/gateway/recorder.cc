// SPDX-License-Identifier: Apache-2.0
#include "gateway/recorder.h"

#include <algorithm>
#include <array>

#include "audit/digest.h"
#include "audit/log.h"
#include "base/encoding.h"
#include "base/random.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kPieceMost = 1024 * 1024;
constexpr Nanos kFullPause = 200us;

}  // namespace

Recorder::Recorder(net::RealLoop& loop, std::unique_ptr<ipc::RingWriter> ring)
    : loop_(loop), ring_(std::move(ring)), durable_(loop), tasks_(loop) {
  tasks_.spawn(watch_durable());
}

// Tells all that wait whenever the audit role has passed what one of them waits for.
Task<void> Recorder::watch_durable() {
  while (true) {
    const Result<void> rung = co_await loop_.wait_readable(ring_->bell_fd(), Deadline::never());
    if (!rung || !ring_->answer()) co_return;
    durable_.set();
    durable_.reset();
  }
}

void Recorder::stamp(audit::Entry& entry) {
  entry.wall_ns = loop_.wall().unix_nanos();
  entry.monotonic_ns = loop_.now().since_boot().count();
  entry.role = "gateway";
}

std::optional<std::uint64_t> Recorder::put(const audit::Entry& entry) {
  const Result<std::string> bytes = audit::encode(entry);
  if (!bytes) return std::nullopt;
  const std::array<std::string_view, 1> parts = {*bytes};
  return ring_->append(ipc::RecordType::kEntry, parts);
}

Task<Result<std::uint64_t>> Recorder::append(audit::Entry entry, Deadline deadline) {
  stamp(entry);
  while (true) {
    if (const auto position = put(entry)) co_return *position;
    if (loop_.now() >= deadline.at()) {
      co_return failure(Error::kAuditUnavailable,
                        "the audit log takes nothing now, so nothing passes; try again");
    }
    co_await loop_.sleep_for(kFullPause);
  }
}

bool Recorder::append_now(audit::Entry entry) {
  stamp(entry);
  if (lost_ > 0) {
    audit::Entry gap;
    stamp(gap);
    gap.kind = audit::Kind::kGap;
    gap.add("entries", std::to_string(lost_));
    if (put(gap)) lost_ = 0;
  }
  if (put(entry)) return true;
  ++lost_;
  return false;
}

std::optional<BodyRef> Recorder::store(std::string_view name, std::string_view bytes) {
  BodyRef body;
  body.name = name;
  body.size = bytes.size();
  audit::Digest salt;
  fill_random(body.object);
  fill_random(salt);
  body.commitment = audit::commitment_of(salt, bytes);
  do {
    const std::string_view piece = bytes.substr(0, kPieceMost);
    bytes.remove_prefix(piece.size());
    const std::string head = audit::body_payload({body.object, salt, bytes.empty(), {}});
    const std::array<std::string_view, 2> parts = {head, piece};
    if (!ring_->append(ipc::RecordType::kBody, parts)) {
      ++lost_;
      return std::nullopt;
    }
  } while (!bytes.empty());
  return body;
}

Task<Result<void>> Recorder::wait_durable(std::uint64_t position, Deadline deadline) {
  while (ring_->durable() < position) {
    // `want` is asked again after each wake-up: the ring keeps only the nearest position.
    if (!ring_->want(position)) break;
    const Result<void> woken =
        co_await durable_.wait(Deadline(std::min(deadline.at(), loop_.now() + 20ms)));
    if (!woken && loop_.now() >= deadline.at()) {
      co_return failure(Error::kAuditUnavailable,
                        "the audit log did not become durable in time, so nothing passes");
    }
  }
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
