// SPDX-License-Identifier: Apache-2.0
#include "gateway/body_buffers.h"

#include <gtest/gtest.h>

#include <vector>

namespace gatehouse::gateway {
namespace {

TEST(BodyBuffers, GiveAgainWhatWasGivenBackLast) {
  std::string first = BodyBuffers::take(100'000);
  std::string second = BodyBuffers::take(100'000);
  first.append(90'000, 'x');
  const char* const of_first = first.data();
  const char* const of_second = second.data();
  BodyBuffers::give(std::move(first));
  BodyBuffers::give(std::move(second));
  const std::string last = BodyBuffers::take(90'000);
  const std::string before = BodyBuffers::take(90'000);
  EXPECT_EQ(last.data(), of_second);
  EXPECT_EQ(before.data(), of_first);
  EXPECT_TRUE(before.empty());
}

TEST(BodyBuffers, HaveRoomForWhatIsAskedFor) {
  BodyBuffers::give(BodyBuffers::take(BodyBuffers::kLeast));
  for (const std::size_t size : {0UL, 1UL, 40'000UL, 300'000UL, 1'048'576UL, 5'000'000UL}) {
    EXPECT_GE(BodyBuffers::take(size).capacity(), size);
  }
}

TEST(BodyBuffers, KeepNoMoreThanTheyMay) {
  std::vector<std::string> taken;
  for (int i = 0; i < 40; ++i) taken.push_back(BodyBuffers::take(BodyBuffers::kMost));
  taken.push_back(BodyBuffers::take(4 * BodyBuffers::kMost));
  for (std::string& buffer : taken) {
    BodyBuffers::give(std::move(buffer));
    EXPECT_LE(BodyBuffers::spare(), BodyBuffers::kSpareMost);
  }
  EXPECT_GT(BodyBuffers::spare(), BodyBuffers::kSpareMost / 2);
  const std::size_t before = BodyBuffers::spare();
  BodyBuffers::give(std::string(100, 'x'));
  EXPECT_EQ(BodyBuffers::spare(), before);
}

}  // namespace
}  // namespace gatehouse::gateway
