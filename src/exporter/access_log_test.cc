// SPDX-License-Identifier: Apache-2.0
#include "exporter/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "net/sim_loop.h"

namespace gatehouse::exporter {
namespace {

class AccessLogTest : public testing::Test {
 protected:
  ~AccessLogTest() override {
    for (const auto& path : made) unlink(path.c_str());
  }
  net::Descriptor file() {
    std::string path = testing::TempDir() + "gatehouse-access-XXXXXX";
    net::Descriptor fd(mkstemp(path.data()));
    made.push_back(path);
    return fd;
  }
  static std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::map<std::string, std::uint64_t> counted() {
    ipc::CounterList list;
    log.add_counters(list);
    return {{list.counters[0].name, list.counters[0].value},
            {list.counters[1].name, list.counters[1].value}};
  }
  struct Pipe {
    net::Descriptor reader;
    net::Descriptor writer;
  };
  static Pipe pipe() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    return {net::Descriptor(ends[0]), net::Descriptor(ends[1])};
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  AccessLog log{*loop};
  std::vector<std::string> made;
};

TEST_F(AccessLogTest, WritesWholeLinesAndGoesOnInTheFileThatItIsGivenNext) {
  log.use(true);
  log.add("{\"a\":1}\n");
  log.flush();
  log.write_to(file());
  log.add("{\"b\":2}\n");
  log.flush();
  log.write_to(file());
  log.add("{\"c\":3}\n");
  log.flush();
  EXPECT_EQ(text_of(made[0]), "{\"a\":1}\n{\"b\":2}\n");
  EXPECT_EQ(text_of(made[1]), "{\"c\":3}\n");
  EXPECT_EQ(counted()["lines.written"], 3u);
}

TEST_F(AccessLogTest, APipeThatNobodyReadsHoldsNothingUpAndWhatDoesNotFitIsCounted) {
  log.use(true);
  Pipe ends = pipe();
  log.write_to(std::move(ends.writer));
  const std::string line = std::string(1023, 'x') + "\n";
  for (int i = 0; i < 2000; ++i) log.add(line);
  log.flush();  // returns, though nobody reads
  const std::uint64_t before = counted()["lines.written"];
  EXPECT_LT(before, 2000u);
  EXPECT_EQ(counted()["lines.dropped"], 2000u - AccessLog::kWaitingMost / line.size());
  std::array<char, 65536> buffer{};
  fcntl(ends.reader.get(), F_SETFL, O_NONBLOCK);
  while (::read(ends.reader.get(), buffer.data(), buffer.size()) > 0) {
  }
  loop->run_for(AccessLog::kTryAgain * 2);
  EXPECT_GT(counted()["lines.written"], before) << "and it goes on when somebody does";
}

TEST_F(AccessLogTest, AnEndOfThePipeIsNoEndOfTheProcess) {
  signal(SIGPIPE, SIG_IGN);  // as every role does
  log.use(true);
  Pipe ends = pipe();
  ends.reader.reset();
  log.write_to(std::move(ends.writer));
  log.add("{}\n");
  log.flush();
  EXPECT_EQ(counted()["lines.written"], 0u);
  log.write_to(file());
  EXPECT_EQ(text_of(made[0]), "{}\n");
}

TEST_F(AccessLogTest, WithoutOneNothingIsKept) {
  log.use(true);
  log.add("{}\n");
  log.use(false);
  log.write_to(file());
  EXPECT_EQ(text_of(made[0]), "");
}

}  // namespace
}  // namespace gatehouse::exporter
