// SPDX-License-Identifier: Apache-2.0
#include "gateway/idle_connections.h"

#include <utility>

namespace gatehouse::gateway {

void IdleConnections::put(std::string key, std::unique_ptr<net::Stream> stream, Instant now) {
  drop_expired(now);
  const auto found = of_one_.find(key);
  if (found != of_one_.end() && found->second.size() >= kOfOneMost) drop_oldest_of(key);
  if (all_.size() >= kMost) drop_oldest_of(std::string(all_.front().key));
  all_.push_back({key, std::move(stream), now + kKeptFor});
  of_one_[std::move(key)].push_back(std::prev(all_.end()));
}

std::unique_ptr<net::Stream> IdleConnections::take(const std::string& key, Instant now) {
  drop_expired(now);
  const auto found = of_one_.find(key);
  if (found == of_one_.end()) return nullptr;
  std::unique_ptr<net::Stream> alive;
  while (!found->second.empty() && !alive) {
    std::unique_ptr<net::Stream> candidate = std::move(found->second.back()->stream);
    all_.erase(found->second.back());
    found->second.pop_back();
    // A server that closed it, or spoke out of turn, shows here.
    if (candidate->is_quiet()) alive = std::move(candidate);
  }
  if (found->second.empty()) of_one_.erase(found);
  return alive;
}

void IdleConnections::clear() {
  of_one_.clear();
  all_.clear();
}

void IdleConnections::drop_oldest_of(const std::string& key) {
  const auto found = of_one_.find(key);
  all_.erase(found->second.front());
  found->second.pop_front();
  if (found->second.empty()) of_one_.erase(found);
}

void IdleConnections::drop_expired(Instant now) {
  while (!all_.empty() && all_.front().until < now) drop_oldest_of(std::string(all_.front().key));
}

}  // namespace gatehouse::gateway
