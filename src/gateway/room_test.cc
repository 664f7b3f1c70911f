// SPDX-License-Identifier: Apache-2.0
#include "gateway/room.h"

#include <gtest/gtest.h>

#include <optional>

namespace gatehouse::gateway {
namespace {

TEST(Room, GivesNoMoreThanItHasAndAllOrNothing) {
  Room all(100);
  Room one(60);
  Room other(60);
  Room::Share first(all, one);
  EXPECT_TRUE(first.grow(60));
  EXPECT_FALSE(first.grow(1)) << "the Run's own is full";
  Room::Share second(all, other);
  EXPECT_FALSE(second.grow(41)) << "the gateway's is full";
  EXPECT_EQ(all.held(), 60);
  EXPECT_EQ(other.held(), 0) << "nothing is taken of either where one has not as much";
  EXPECT_TRUE(second.grow(40));
  EXPECT_FALSE(second.grow(SIZE_MAX)) << "no sum overflows";
}

TEST(Room, GetsBackWhatASharedPartHeldOnce) {
  Room all(100);
  Room one(100);
  {
    std::optional<Room::Share> share(std::in_place, all, one);
    EXPECT_TRUE(share->grow(70));
    Room::Share moved(std::move(*share));
    share.reset();
    EXPECT_EQ(all.held(), 70) << "what was moved from holds nothing";
    moved.give_back();
    EXPECT_EQ(one.held(), 0);
    EXPECT_TRUE(moved.grow(100));
  }
  EXPECT_EQ(all.held(), 0);
}

}  // namespace
}  // namespace gatehouse::gateway
