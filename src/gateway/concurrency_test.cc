// SPDX-License-Identifier: Apache-2.0
#include "gateway/concurrency.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace gatehouse::gateway {
namespace {

ipc::ServiceSpec service(std::string tenant, std::string name, std::uint32_t concurrency) {
  ipc::ServiceSpec spec;
  spec.tenant = std::move(tenant);
  spec.name = std::move(name);
  spec.concurrency = concurrency;
  return spec;
}

TEST(Concurrency, RefusesOneMoreThanTheBoundAndTakesItWhenAnotherHasEnded) {
  Concurrency all;
  const auto model = service("acme", "model", 2);
  auto first = all.take(model);
  auto second = all.take(model);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(all.take(model));
  *first = Concurrency::Place();
  EXPECT_EQ(all.taken_at(model), 1u);
  EXPECT_TRUE(all.take(model));
}

TEST(Concurrency, BoundsEachServiceOfEachTenantByItself) {
  Concurrency all;
  const auto one = all.take(service("acme", "model", 1));
  EXPECT_TRUE(one);
  EXPECT_FALSE(all.take(service("acme", "model", 1)));
  EXPECT_TRUE(all.take(service("globex", "model", 1)));
  EXPECT_TRUE(all.take(service("acme", "other", 1)));
}

TEST(Concurrency, WithoutABoundThereAreAnyNumber) {
  Concurrency all;
  const auto free = service("acme", "model", 0);
  std::vector<Concurrency::Place> places;
  for (int i = 0; i < 1000; ++i) {
    auto place = all.take(free);
    ASSERT_TRUE(place);
    places.push_back(*std::move(place));
  }
  EXPECT_EQ(all.taken_at(free), 0u);
}

TEST(Concurrency, AMovedPlaceIsGivenBackOnce) {
  Concurrency all;
  const auto model = service("acme", "model", 1);
  {
    auto taken = all.take(model);
    ASSERT_TRUE(taken);
    const Concurrency::Place moved = *std::move(taken);
    EXPECT_EQ(all.taken_at(model), 1u);
  }
  EXPECT_EQ(all.taken_at(model), 0u);
}

}  // namespace
}  // namespace gatehouse::gateway
