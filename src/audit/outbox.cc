// SPDX-License-Identifier: Apache-2.0
#include "audit/outbox.h"

#include <utility>

namespace gatehouse::audit {
namespace {

// Alarms among them: a placeholder on its way to another host is a refusal too.
bool tells_of_an_end(Kind kind) {
  return kind == Kind::kSettled || kind == Kind::kRefused || kind == Kind::kAlarm
         || kind == Kind::kRunEnded;
}

}  // namespace

void Outbox::take(Kind kind, std::string_view entry) {
  if (!is_wanted_ || !tells_of_an_end(kind)) return;
  if (bytes_ + entry.size() > kBytesMost) {
    ++dropped_;
    return;
  }
  bytes_ += entry.size();
  waiting_.emplace_back(entry);
}

std::vector<std::string> Outbox::next() {
  std::vector<std::string> batch;
  std::size_t size = 0;
  while (durable_ > 0 && (batch.empty() || size + waiting_.front().size() <= kBatchMost)) {
    size += waiting_.front().size();
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    --durable_;
  }
  bytes_ -= size;
  return batch;
}

void Outbox::put_back(std::vector<std::string> batch) {
  durable_ += batch.size();
  while (!batch.empty()) {
    bytes_ += batch.back().size();
    waiting_.push_front(std::move(batch.back()));
    batch.pop_back();
  }
}

}  // namespace gatehouse::audit
