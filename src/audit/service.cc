// SPDX-License-Identifier: Apache-2.0
#include "audit/service.h"

#include "base/log.h"

namespace gatehouse::audit {
namespace {

constexpr std::size_t kGroupMost =
    512 * 1024;  // above it a commit's time grows with its size (measured)

}  // namespace

Result<std::uint64_t> Service::append(std::string_view entry) {
  const Result<Entry> parsed = decode(entry);
  if (!parsed) return failure(Error::kInvalid, parsed.error().message());
  return log_->append(entry);
}

Result<bool> Service::pump() {
  for (auto ring = rings_.begin(); ring != rings_.end();) {
    bool broken = false;
    while (log_->gathered_bytes() < kGroupMost) {
      Result<std::optional<ipc::RingReader::Record>> record = (*ring)->next();
      if (!record) {
        log_error("an audit ring broke the rules and is abandoned; its gateway passes nothing more",
                  {{"why", record.error().message()}});
        broken = true;
        break;
      }
      if (!*record) break;
      if ((*record)->type == ipc::RecordType::kEntry) {
        if (!decode((*record)->bytes)) {
          log_warning("an Entry that does not decode came through a ring and is dropped");
          continue;
        }
        TRY(log_->append((*record)->bytes));
      } else if (const auto piece = parse_body((*record)->bytes)) {
        TRY(log_->append_body(piece->object, piece->salt, piece->bytes, piece->last));
      }
    }
    ring = broken ? rings_.erase(ring) : ring + 1;
  }
  if (log_->gathered_bytes() == 0) return false;
  TRY(log_->commit());
  for (const auto& ring : rings_) ring->publish_durable();
  return true;
}

bool Service::prepare_to_sleep() {
  for (const auto& ring : rings_) {
    if (!ring->prepare_to_sleep()) return false;
  }
  return true;
}

void Service::woken() {
  for (const auto& ring : rings_) ring->woken();
}

}  // namespace gatehouse::audit
