// SPDX-License-Identifier: Apache-2.0
// A stream of HTTP/2 as plain bytes, in virtual time, before a connection that only takes notes.
#include "gateway/http2_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "base/check.h"
#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;
using net::Task;
using wire::Http2Code;

struct Notes final : Http2Streams {
  [[nodiscard]] Result<void> answer(std::int32_t, const wire::ResponseHead&, bool) override {
    return {};
  }
  void taken(std::int32_t, std::size_t count) override { all_taken += count; }
  void resume(std::int32_t) override { ++resumed; }
  void let_go(Http2Stream& stream, Http2Code code) override {
    stream.is_let_go = true;
    let_go_by = code;
  }
  std::size_t all_taken = 0;
  int resumed = 0;
  std::optional<Http2Code> let_go_by;
};

class Http2Bytes : public testing::Test {
 protected:
  Http2Bytes()
      : stream(std::make_shared<Http2Stream>(*loop, notes, 1)),
        bytes(std::make_unique<gateway::Http2Bytes>(stream, Http2Code::kConnect)) {}
  // As the session does.
  void come(std::string_view text, bool is_end = false) {
    stream->in += text;
    stream->in_whole = is_end;
    stream->came.set();
  }
  std::string pull() {
    std::string pulled = std::exchange(stream->out, {}).substr(stream->out_at);
    stream->out_at = 0;
    stream->out_ended = stream->out_ends;
    stream->went.set();
    return pulled;
  }
  Task<Result<std::string>> read(Deadline deadline) {
    std::array<char, 100> into{};
    const std::size_t got = CO_TRY(co_await bytes->read(into, deadline));
    co_return std::string(into.data(), got);
  }

  template <typename T>
  T run(Task<T> task) {
    auto done = loop->run_until_done(std::move(task));
    CHECK(done);
    return std::move(*done);
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  Notes notes;
  std::shared_ptr<Http2Stream> stream;
  std::unique_ptr<gateway::Http2Bytes> bytes;
};

TEST_F(Http2Bytes, AreReadUntilTheirEndAndTakenAsTheyAre) {
  come("hello");
  EXPECT_FALSE(bytes->is_quiet());
  EXPECT_EQ(run(read(loop->in(1s))).value(), "hello");
  EXPECT_EQ(notes.all_taken, 5U);
  EXPECT_TRUE(bytes->is_quiet());
  EXPECT_EQ(run(read(loop->in(1s))).error(), Error::kTimeout);
  come("bye", true);
  EXPECT_EQ(run(read(loop->in(1s))).value(), "bye");
  EXPECT_EQ(run(read(loop->in(1s))).value(), "") << "the end";
}

TEST_F(Http2Bytes, ThatAreResetAreNoEnd) {
  come("part");
  stream->is_over = true;
  EXPECT_EQ(run(read(loop->in(1s))).value(), "part");
  EXPECT_EQ(run(read(loop->in(1s))).error(), Error::kClosed);
  EXPECT_EQ(run(bytes->write("x", loop->in(1s))).error(), Error::kClosed);
  EXPECT_EQ(bytes->write_now("x"), 0U);
}

TEST_F(Http2Bytes, KeepNoMoreThanTheirRoom) {
  const std::string much(gateway::Http2Bytes::kWaitingMost + 1, 'x');
  EXPECT_EQ(bytes->write_now(much), gateway::Http2Bytes::kWaitingMost);
  EXPECT_EQ(bytes->write_now("y"), 0U);
  EXPECT_EQ(run(bytes->write("y", loop->in(1s))).error(), Error::kTimeout);
  EXPECT_EQ(pull().size(), gateway::Http2Bytes::kWaitingMost);
  EXPECT_TRUE(run(bytes->write("y", loop->in(1s))));
  EXPECT_EQ(pull(), "y");
}

TEST_F(Http2Bytes, EndBehindWhatWaitsOrAreReset) {
  EXPECT_EQ(bytes->write_now("last"), 4U);
  EXPECT_EQ(run(bytes->finish(loop->in(1s))).error(), Error::kTimeout) << "nobody takes it";
  EXPECT_EQ(pull(), "last");
  EXPECT_TRUE(run(bytes->finish(loop->in(1s))));
  bytes.reset();
  EXPECT_EQ(notes.let_go_by, Http2Code::kNone);
}

TEST_F(Http2Bytes, SayAnEndWhenTheyGoAndNoneWhenTheyAreCut) {
  bytes->close_with_reset();
  bytes.reset();
  EXPECT_EQ(notes.let_go_by, Http2Code::kConnect);
  EXPECT_FALSE(stream->out_ends);
  bytes = std::make_unique<gateway::Http2Bytes>(stream, Http2Code::kConnect);
  bytes.reset();
  EXPECT_EQ(notes.let_go_by, Http2Code::kNone);
  EXPECT_TRUE(stream->out_ends);
}

TEST_F(Http2Bytes, OutliveTheirConnection) {
  stream->connection = nullptr;
  stream->is_over = true;
  come("");
  EXPECT_EQ(run(read(loop->in(1s))).error(), Error::kClosed);
  bytes.reset();
  EXPECT_EQ(notes.let_go_by, std::nullopt);
}

}  // namespace
}  // namespace gatehouse::gateway
