// SPDX-License-Identifier: Apache-2.0
// What is read of a connection, in virtual time: after a silence too, nothing is lost.
#include "gateway/client.h"

#include <gtest/gtest.h>

#include <array>

#include "gateway/http1_message.h"
#include "net/nursery.h"
#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;
using net::Task;

class InboxTest : public testing::Test {
 protected:
  InboxTest() : others(*loop) {
    auto [here, there] = loop->make_pair();
    stream = std::move(here);
    peer = std::move(there);
    inbox = std::make_unique<Inbox>(*stream);
  }
  // Those texts, a minute of silence before each, then the end.
  Task<void> speak(std::vector<std::string> texts) {
    for (const std::string& text : texts) {
      co_await loop->sleep_for(1min);
      (void)co_await peer->write(text, Deadline::never());
    }
    (void)co_await peer->finish(Deadline::never());
  }
  Task<Result<std::string>> heard() {
    std::string all;
    while (CO_TRY(co_await inbox->fill_after_silence(loop->in(5min)))) {
      all += inbox->waiting();
      inbox->take(inbox->waiting().size());
    }
    co_return all;
  }
  // Until the end, but for one byte, which is taken as soon as it has come.
  Task<Result<std::string>> heard_but_one() {
    CO_TRY(co_await inbox->fill_after_silence(Deadline::never()));
    inbox->take(1);
    while (CO_TRY(co_await inbox->fill_after_silence(Deadline::never()))) {
    }
    co_return std::string(inbox->waiting());
  }

  // Straight to its place, but for what has come with other things.
  Task<Result<std::string>> read_body(std::size_t size) {
    Http1In in(*inbox, {wire::BodyFraming::Kind::kLength, size});
    std::string body(size, '?');
    std::size_t at = 0;
    CO_TRY(co_await inbox->fill(Deadline::never()));
    while (!in.is_done()) {
      if (in.plain() == 0) {
        const Piece piece = CO_TRY(in.piece());
        at += piece.payload.copy(body.data() + at, size - at);
        continue;
      }
      EXPECT_EQ(in.plain(), size - at);
      const std::size_t got =
          CO_TRY(co_await in.read({body.data() + at, size - at}, loop->in(5min)));
      if (got == 0) co_return failure(Error::kClosed, "it broke off");
      at += got;
    }
    co_return body;
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(11);
  std::unique_ptr<net::Stream> stream;
  std::unique_ptr<net::Stream> peer;
  std::unique_ptr<Inbox> inbox;
  net::Nursery others;
};

TEST_F(InboxTest, WhatComesAfterASilenceIsWholeWhateverItsSize) {
  std::vector<std::string> texts;
  std::string all;
  constexpr std::array<std::size_t, 10> kSizes = {1,      511,    512,    513,    1024,
                                                  16'383, 16'384, 16'385, 70'000, 3};
  for (const std::size_t size : kSizes) {
    std::string& text = texts.emplace_back();
    while (text.size() < size) text += std::to_string(all.size() + text.size()) + ' ';
    text.resize(size);
    all += text;
  }
  others.spawn(speak(texts));
  const auto got = loop->run_until_done(heard());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, all);
}

TEST_F(InboxTest, WhatWaitsStaysInFrontOfWhatComesAfterASilence) {
  others.spawn(speak({"first", " second"}));
  const auto got = loop->run_until_done(heard_but_one());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "irst second");
}

TEST_F(InboxTest, ASilenceThatIsTooLongIsToldAndTheNextReadGoesOn) {
  others.spawn(speak({"late"}));
  const auto early = loop->run_until_done(inbox->fill_after_silence(loop->in(30s)));
  ASSERT_TRUE(early && !*early);
  EXPECT_EQ(early->error(), Error::kTimeout);
  const auto got = loop->run_until_done(heard());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "late");
}

TEST_F(InboxTest, AReadThatIsCancelledLeavesWhatWaitedAndNothingElse) {
  others.spawn(speak({"before"}));
  ASSERT_TRUE(loop->run_until_done(inbox->fill(Deadline::never())));
  {
    net::Nursery reading(*loop);
    reading.spawn([](this auto, Inbox* from) -> Task<void> {
      (void)co_await from->fill(Deadline::never());
    }(inbox.get()));
    loop->run_for(1ms);
  }
  EXPECT_EQ(inbox->waiting(), "before");
}

// Bodies of all sizes, each in front of the next message's first byte, which is not taken.
TEST_F(InboxTest, ABodyIsReadStraightToItsPlaceAndNoFurther) {
  std::string texts;
  for (std::size_t at = 0; at < 700'000; ++at) texts += static_cast<char>('a' + at * at % 23);
  for (const std::size_t size : {1UL, 5'000UL, 20'000UL, 70'000UL, 300'000UL}) {
    const std::string body = texts.substr(size, size);
    others.spawn([](this auto, net::Stream* to, std::string text) -> Task<void> {
      (void)co_await to->write(text, Deadline::never());
    }(peer.get(), body + "next"));
    const auto got = loop->run_until_done(read_body(size));
    ASSERT_TRUE(got && *got) << size;
    EXPECT_TRUE(**got == body) << size;
    while (inbox->waiting().size() < 4) {
      ASSERT_TRUE(loop->run_until_done(inbox->fill(loop->in(1min))));
    }
    EXPECT_EQ(inbox->waiting(), "next");
    inbox->take(4);
  }
}

TEST_F(InboxTest, ABodyThatBreaksOffIsNotWhole) {
  others.spawn(speak({std::string(50'000, 'x')}));
  const auto got = loop->run_until_done(read_body(50'001));
  ASSERT_TRUE(got && !*got);
  EXPECT_EQ(got->error(), Error::kClosed);
}

}  // namespace
}  // namespace gatehouse::gateway
