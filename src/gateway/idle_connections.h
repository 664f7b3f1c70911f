// SPDX-License-Identifier: Apache-2.0
// Connections of HTTP/1.1 to upstreams that wait for their next exchange. They are bounded in
// number, of one destination and in all, and in time: to how many hosts an agent goes is its own
// choice.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/time.h"
#include "net/stream.h"

namespace gatehouse::gateway {

class IdleConnections {
 public:
  static constexpr std::size_t kOfOneMost = 256;
  static constexpr std::size_t kMost = 1024;
  static constexpr Nanos kKeptFor = std::chrono::seconds(55);  // nginx's keepalive_timeout is 75 s

  // Keeps it; the oldest gives way.
  void put(std::string key, std::unique_ptr<net::Stream> stream, Instant now);
  // The one that was used last, which is the likeliest to be alive; null where none is left that
  // has not ended.
  [[nodiscard]] std::unique_ptr<net::Stream> take(const std::string& key, Instant now);
  void clear();
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] std::size_t destinations() const { return of_one_.size(); }

 private:
  struct Kept {
    std::string key;
    std::unique_ptr<net::Stream> stream;
    Instant until;
  };
  using All = std::list<Kept>;
  void drop_oldest_of(const std::string& key);
  void drop_expired(Instant now);

  All all_;  // the oldest first, and so it is in each of these
  std::unordered_map<std::string, std::deque<All::iterator>> of_one_;
};

}  // namespace gatehouse::gateway
