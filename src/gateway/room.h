// SPDX-License-Identifier: Apache-2.0
// Room: how many bytes of bodies may be kept at a time, by all the Exchanges that share it. A body
// that must be understood is whole in memory before anything is done with it; that no number of
// them fills the memory is seen to here.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

namespace gatehouse::gateway {

class Room {
 public:
  // What is taken of one Room, or of several at once; it is given back with the object.
  class Share {
   public:
    Share(Room& a, Room& b) : rooms_{&a, &b} {}
    Share(Share&& other) noexcept : rooms_(other.rooms_), held_(std::exchange(other.held_, 0)) {}
    Share& operator=(Share&&) = delete;
    ~Share() { give_back(); }

    // Takes so many bytes more of each; false, and nothing is taken, where one has not as many.
    [[nodiscard]] bool grow(std::size_t bytes) {
      for (const Room* room : rooms_) {
        if (bytes > room->most_ - room->held_) return false;
      }
      for (Room* room : rooms_) room->held_ += bytes;
      held_ += bytes;
      return true;
    }
    void give_back() {
      for (Room* room : rooms_) room->held_ -= held_;
      held_ = 0;
    }

   private:
    std::array<Room*, 2> rooms_;
    std::size_t held_ = 0;
  };

  explicit Room(std::size_t most) : most_(most) {}
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  [[nodiscard]] std::size_t held() const { return held_; }

 private:
  std::size_t most_;
  std::size_t held_ = 0;
};

}  // namespace gatehouse::gateway
