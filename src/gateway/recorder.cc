// SPDX-License-Identifier: Apache-2.0
#include "gateway/recorder.h"

#include <algorithm>
#include <array>

#include "audit/body_list.h"
#include "audit/digest.h"
#include "audit/log.h"
#include "base/check.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kPieceMost = 1024 * 1024;
constexpr Nanos kFullPause = 200us;

}  // namespace

// A body on its way into the ring, piece by piece.
struct Recorder::Body {
  BodyRef about;
  audit::Digest salt;
  std::string_view left;
  ipc::RecordType type;
  bool done = false;

  Body(std::string_view name, std::string_view bytes, ipc::RecordType as = ipc::RecordType::kBody)
      : left(bytes), type(as) {
    about.name = name;
    about.size = bytes.size();
    fill_random(about.object);
    fill_random(salt);
    about.commitment = type == ipc::RecordType::kBodyList ? audit::list_commitment_of(salt, bytes)
                                                          : audit::commitment_of(salt, bytes);
  }
};

void Recorder::write_to(std::unique_ptr<ipc::RingWriter> ring) {
  if (ring_) {
    durable_before_ = ring_->durable();
    carried_over_until_ = ring->take_over(*ring_);
  }
  ring_ = std::move(ring);
  is_read_ = true;
  tasks_.spawn(watch_durable(++number_));
}

// Tells all that wait whenever the audit role has passed what one of them waits for.
Task<void> Recorder::watch_durable(std::uint64_t ring) {
  while (ring == number_) {
    const Result<void> rung = co_await loop_.wait_readable(ring_->bell_fd(), Deadline::never());
    if (ring != number_) co_return;
    if (!rung || !ring_->answer()) break;
    durable_.set();
    durable_.reset();
  }
  if (ring != number_) co_return;
  is_read_ = false;
  log_error("the audit role no longer reads, so nothing new passes until one does");
}

bool Recorder::is_durable(const Position& position) const {
  if (!ring_) return false;
  if (position.ring == number_) return ring_->durable() >= position.offset;
  if (position.ring + 1 == number_ && position.offset <= durable_before_) return true;
  return ring_->durable() >= carried_over_until_;
}

void Recorder::stamp(audit::Entry& entry) {
  entry.wall_ns = loop_.wall().unix_nanos();
  entry.monotonic_ns = loop_.now().since_boot().count();
  entry.role = "gateway";
}

std::optional<Recorder::Position> Recorder::put(const audit::Entry& entry) {
  const Result<std::string> bytes = audit::encode(entry);
  if (!bytes || !ring_) return std::nullopt;
  const std::array<std::string_view, 1> parts = {*bytes};
  const auto offset = ring_->append(ipc::RecordType::kEntry, parts);
  if (!offset) {
    ring_->rouse();  // whoever could make room
    return std::nullopt;
  }
  rouser_.appended();
  return Position{number_, *offset};
}

bool Recorder::put_piece(Body& body) {
  if (!ring_) return false;
  const std::string_view piece = body.left.substr(0, kPieceMost);
  const bool last = piece.size() == body.left.size();
  const std::string head = audit::body_payload(
      {body.about.object, body.salt, last, {}, body.about.size - body.left.size()});
  const std::array<std::string_view, 2> parts = {head, piece};
  if (!ring_->append(body.type, parts)) {
    ring_->rouse();
    return false;
  }
  rouser_.appended();
  body.left.remove_prefix(piece.size());
  body.done = last;
  return true;
}

Task<Result<Recorder::Position>> Recorder::append(audit::Entry& entry, Deadline deadline) {
  stamp(entry);
  while (is_read_) {
    if (const auto position = put(entry)) co_return *position;
    if (loop_.now() >= deadline.at()) break;
    co_await loop_.sleep_for(kFullPause);
  }
  co_return failure(Error::kAuditUnavailable,
                    "the audit log takes nothing now, so nothing passes; try again");
}

bool Recorder::append_now(audit::Entry entry) {
  stamp(entry);
  if (untold_ > 0) {
    audit::Entry gap;
    stamp(gap);
    gap.kind = audit::Kind::kGap;
    gap.add("entries", std::to_string(untold_));
    if (put(gap)) untold_ = 0;
  }
  if (put(entry)) return true;
  ++lost_;
  ++untold_;
  return false;
}

Task<Result<BodyRef>> Recorder::store(std::string_view name, std::string_view bytes,
                                      Deadline deadline) {
  co_return co_await put_all(Body(name, bytes), deadline);
}

Task<Result<BodyRef>> Recorder::store_list(std::string_view name, std::string_view list,
                                           Deadline deadline) {
  CHECK(list.size() <= kPieceMost);
  co_return co_await put_all(Body(name, list, ipc::RecordType::kBodyList), deadline);
}

Task<Result<BodyRef>> Recorder::put_all(Body body, Deadline deadline) {
  while (is_read_) {
    while (!body.done && put_piece(body)) {
    }
    if (body.done) co_return std::move(body.about);
    if (loop_.now() >= deadline.at()) break;
    co_await loop_.sleep_for(kFullPause);
  }
  co_return failure(Error::kAuditUnavailable,
                    "the audit log takes no body now, so nothing passes; try again");
}

std::optional<BodyRef> Recorder::store_now(std::string_view name, std::string_view bytes) {
  Body body(name, bytes);
  while (!body.done) {
    if (!put_piece(body)) {
      ++lost_;
      ++untold_;
      return std::nullopt;
    }
  }
  return std::move(body.about);
}

Task<Result<void>> Recorder::wait_durable(Position position, Deadline deadline) {
  while (!is_durable(position)) {
    if (loop_.now() >= deadline.at()) {
      co_return failure(Error::kAuditUnavailable,
                        "the audit log did not become durable in time, so nothing passes");
    }
    // `want` is asked again after each wake-up: the ring keeps only the nearest position.
    const std::uint64_t wanted = position.ring == number_ ? position.offset : carried_over_until_;
    if (ring_ && !ring_->want(wanted)) continue;
    (void)co_await durable_.wait(Deadline(std::min(deadline.at(), loop_.now() + 20ms)));
  }
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
