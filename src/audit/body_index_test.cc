// SPDX-License-Identifier: Apache-2.0
#include "audit/body_index.h"

#include <gtest/gtest.h>

#include <cstring>

namespace gatehouse::audit {
namespace {

ObjectId object_of(std::uint64_t number) {
  ObjectId object{};
  std::memcpy(object.data(), &number, sizeof number);
  return object;
}

// Of a body frame with so many bytes of the body.
Place place_of(std::uint32_t bytes, std::uint64_t offset) { return {7, bytes + 56, offset}; }

TEST(BodyIndex, FindsEachOfManyAndNoOther) {
  BodyIndex index;
  constexpr std::uint64_t kBodies = 100'000;
  for (std::uint64_t i = 0; i < kBodies; ++i) {
    const BodyIndex::Extent whole{i % 900, true};
    EXPECT_FALSE(index.extent(object_of(i)));
    index.gather(object_of(i), whole);
    EXPECT_TRUE(index.places(object_of(i)).empty()) << "not committed";
    index.commit(object_of(i), place_of(static_cast<std::uint32_t>(i % 900), i), whole);
  }
  for (std::uint64_t i = 0; i < kBodies; ++i) {
    ASSERT_EQ(index.extent(object_of(i)), (BodyIndex::Extent{i % 900, true}));
    const std::vector<Place> places = index.places(object_of(i));
    ASSERT_EQ(places.size(), 1u);
    ASSERT_EQ(places[0].offset, i);
    ASSERT_EQ(places[0].segment, 7u);
  }
  EXPECT_FALSE(index.extent(object_of(kBodies)));
  EXPECT_TRUE(index.places(object_of(kBodies)).empty());
}

// By a hash without a key these would all be in one place: it takes the halves for each other's
// turned likeness.
TEST(BodyIndex, IdsThatAreChosenStandInNobodysWay) {
  BodyIndex index;
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    const std::array<std::uint64_t, 2> halves = {i << 32 | i, i << 32 | i};
    ObjectId object{};
    std::memcpy(object.data(), halves.data(), sizeof halves);
    index.commit(object, place_of(9, i), {9, true});
  }
  EXPECT_LT(index.longest_probe(), 100U);
}

TEST(BodyIndex, KeepsPiecesInOrderAndKnowsWhatIsGathered) {
  BodyIndex index;
  const ObjectId object = object_of(1);
  index.gather(object, {100, false});
  index.gather(object, {150, true});
  index.commit(object, place_of(100, 10), {100, false});
  EXPECT_EQ(index.extent(object), (BodyIndex::Extent{150, true})) << "the last is gathered";
  EXPECT_EQ(index.places(object).size(), 1u);
  index.commit(object, place_of(50, 20), {150, true});
  EXPECT_EQ(index.extent(object), (BodyIndex::Extent{150, true}));
  ASSERT_EQ(index.places(object).size(), 2u);
  EXPECT_EQ(index.places(object)[1].offset, 20u);
}

TEST(BodyIndex, TakesAnEmptyBody) {
  BodyIndex index;
  index.commit(object_of(3), place_of(0, 5), {0, true});
  EXPECT_EQ(index.extent(object_of(3)), (BodyIndex::Extent{0, true}));
  EXPECT_EQ(index.places(object_of(3)).size(), 1u);
}

}  // namespace
}  // namespace gatehouse::audit
