// SPDX-License-Identifier: Apache-2.0
// How many exchanges this gateway has with each Service, where the operator bounds them: a server
// of one's own takes so many at a time, and what is more is told to come again instead of waiting
// in a queue that nobody sees. Belongs to the gateway's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "ipc/snapshot.h"

namespace gatehouse::gateway {

class Concurrency {
 public:
  // One exchange's place at a Service, given back with it.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), key_(std::move(other.key_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Place();

   private:
    friend class Concurrency;
    Place(Concurrency& of, std::string key) : of_(&of), key_(std::move(key)) {}
    Concurrency* of_ = nullptr;  // null: none is taken
    std::string key_;
  };

  // Nothing when as many are under way as may be. Without a bound no place is needed.
  [[nodiscard]] std::optional<Place> take(const ipc::ServiceSpec& service);
  [[nodiscard]] std::uint32_t taken_at(const ipc::ServiceSpec& service) const;

 private:
  std::unordered_map<std::string, std::uint32_t> taken_;  // none that is zero
};

}  // namespace gatehouse::gateway
