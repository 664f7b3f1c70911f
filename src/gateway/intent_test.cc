// SPDX-License-Identifier: Apache-2.0
#include "gateway/intent.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

class IntentTest : public testing::Test {
 protected:
  IntentTest() {
    auto ring = std::move(*ipc::RingWriter::make());
    reader = std::move(*ipc::RingReader::open(net::Descriptor(dup(ring->memory_fd())),
                                              net::Descriptor(dup(ring->reader_bell_fd()))));
    recorder.write_to(std::move(ring));
  }
  audit::Entry opened() {
    audit::Entry entry;
    entry.kind = audit::Kind::kIntent;
    entry.tenant = "acme";
    entry.run = run;
    entry.trace = trace;
    entry.exchange = exchange;
    entry.linked_trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    entry.add("call", "llm");
    entry.add("path", std::string(3000, 'p'));
    return entry;
  }
  // What is told of an Exchange on the way; some of it while its Intent is stowed.
  static void end(Intent& intent) {
    intent.tag("status", "200");
    intent.tag("tokens.input", "1234567");
    intent.outcome.state = "done";
    intent.settle();
  }
  audit::Entry recorded() {
    const auto record = reader->next();
    EXPECT_TRUE(record && *record);
    return *audit::decode((*record)->bytes);
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(5);
  Recorder recorder{*loop};
  std::unique_ptr<ipc::RingReader> reader;
  RunId run = RunId::fresh();
  TraceId trace = TraceId::fresh();
  ExchangeId exchange = ExchangeId::fresh();
};

TEST_F(IntentTest, OneThatLastedIsSettledAsIfItHadNot) {
  Intent brief(recorder, opened(), {}, loop->now(), *loop);
  end(brief);
  Intent lasting(recorder, opened(), {}, loop->now(), *loop);
  lasting.stow();
  end(lasting);
  const audit::Entry expected = recorded();
  EXPECT_EQ(expected.tag("path"), std::string(3000, 'p'));
  EXPECT_EQ(expected.tag("tokens.input"), "1234567");
  EXPECT_EQ(recorded(), expected);
}

TEST_F(IntentTest, AnAlarmOfOneThatLastsNamesWhatItIsAbout) {
  Intent lasting(recorder, opened(), {}, loop->now(), *loop);
  lasting.stow();
  lasting.stow();
  lasting.raise_alarm("placeholder-misused");
  lasting.settle();
  const audit::Entry alarm = recorded();
  EXPECT_EQ(alarm.kind, audit::Kind::kAlarm);
  EXPECT_EQ(alarm.exchange, exchange);
  EXPECT_EQ(alarm.tag("alarm"), "placeholder-misused");
  EXPECT_EQ(recorded().tag("state"), "refused");
}

TEST_F(IntentTest, OneThatIsLeftWhileItLastsIsSettledAsCut) {
  {
    Intent lasting(recorder, opened(), {}, loop->now(), *loop);
    lasting.stow();
    const Intent moved = std::move(lasting);
  }
  const audit::Entry cut = recorded();
  EXPECT_EQ(cut.tag("state"), "cut");
  EXPECT_EQ(cut.tag("call"), "llm");
}

}  // namespace
}  // namespace gatehouse::gateway
