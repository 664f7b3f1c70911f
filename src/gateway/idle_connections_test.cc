// SPDX-License-Identifier: Apache-2.0
#include "gateway/idle_connections.h"

#include <gtest/gtest.h>

#include <vector>

#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;

class IdleConnectionsTest : public testing::Test {
 protected:
  // Keeps a new connection; which one it is.
  net::Stream* put(const std::string& key) {
    auto [ours, theirs] = loop->make_pair();
    servers.push_back(std::move(theirs));
    net::Stream* const which = ours.get();
    idle.put(key, std::move(ours), now);
    return which;
  }
  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(7);
  std::vector<std::unique_ptr<net::Stream>> servers;
  IdleConnections idle;
  Instant now = loop->now();
};

TEST_F(IdleConnectionsTest, AreGivenBackTheLatestFirstAndToTheirDestinationOnly) {
  put("a");
  net::Stream* const later = put("a");
  EXPECT_EQ(idle.take("b", now), nullptr);
  EXPECT_EQ(idle.take("a", now).get(), later);
  EXPECT_NE(idle.take("a", now), nullptr);
  EXPECT_EQ(idle.take("a", now), nullptr);
  EXPECT_EQ(idle.size(), 0U);
  EXPECT_EQ(idle.destinations(), 0U) << "nothing is left of a destination without a connection";
}

TEST_F(IdleConnectionsTest, ThatHaveEndedAreNotGivenBack) {
  net::Stream* const alive = put("a");
  put("a");
  servers.back().reset();
  loop->run_for(1s);
  EXPECT_EQ(idle.take("a", now).get(), alive);
}

TEST_F(IdleConnectionsTest, EndAfterAWhileWhoeverComesThen) {
  put("a");
  now = now + IdleConnections::kKeptFor;
  put("b");
  EXPECT_EQ(idle.size(), 2U);
  now = now + 1ns;
  EXPECT_EQ(idle.take("c", now), nullptr);
  EXPECT_EQ(idle.size(), 1U);
  EXPECT_EQ(idle.destinations(), 1U);
  EXPECT_NE(idle.take("b", now), nullptr);
}

TEST_F(IdleConnectionsTest, AreOnlySoManyOfOneDestinationAndInAll) {
  for (std::size_t i = 0; i < 2 * IdleConnections::kOfOneMost; ++i) put("one");
  EXPECT_EQ(idle.size(), IdleConnections::kOfOneMost);
  for (std::size_t i = 0; i < 2 * IdleConnections::kMost; ++i) put(std::to_string(i));
  EXPECT_EQ(idle.size(), IdleConnections::kMost);
  EXPECT_EQ(idle.destinations(), IdleConnections::kMost);
  EXPECT_EQ(idle.take("one", now), nullptr) << "the oldest gave way";
  idle.clear();
  EXPECT_EQ(idle.size(), 0U);
}

}  // namespace
}  // namespace gatehouse::gateway
