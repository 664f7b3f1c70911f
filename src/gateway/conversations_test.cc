// SPDX-License-Identifier: Apache-2.0
#include "gateway/conversations.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace gatehouse::gateway {
namespace {

const Speaker kSpeaker{RunId::fresh(), wire::LlmDialect::kOpenAiChat, wire::LlmOperation::kChat};

// A body as an agent grows it: messages, each of which is a part, and what stands around them.
struct Said {
  std::string text;
  std::vector<KnownPart> parts;
};

class Talker {
 public:
  explicit Talker(std::uint64_t seed, std::string closing = "]}")
      : random_(seed), closing_(std::move(closing)) {}

  void say(std::size_t bytes) {
    std::string message;
    for (std::size_t i = 0; i < bytes; ++i) {
      message += static_cast<char>('a' + random_.below(26));
    }
    messages_.push_back(std::move(message));
  }
  [[nodiscard]] Said body() const {
    Said said{"{[", {}};
    for (std::uint8_t number = 0; const std::string& message : messages_) {
      said.parts.push_back({said.text.size(), message.size(), true, {++number}});
      said.text += message + ",";
    }
    said.text += closing_;
    return said;
  }
  std::vector<std::string> messages_;

 private:
  SeededRandom random_;
  std::string closing_;
};

std::vector<std::uint8_t> numbers(const Known& known) {
  std::vector<std::uint8_t> out;
  for (const KnownPart& part : known.parts) out.push_back(part.object[0]);
  return out;
}

// What is found must stand where it is said to stand.
Known found(Conversations& talks, const Said& said, const Speaker& who = kSpeaker) {
  Known known = talks.find(who, said.text);
  for (const KnownPart& part : known.parts) {
    const KnownPart& own = said.parts.at(part.object[0] - 1U);
    EXPECT_EQ(part.at, own.at);
    EXPECT_EQ(part.size, own.size);
  }
  return known;
}
void keep(Conversations& talks, const Said& said, const Speaker& who = kSpeaker) {
  talks.keep(who, talks.find(who, said.text), said.text, said.parts);
}

using Numbers = std::vector<std::uint8_t>;

TEST(Conversations, KnowWhatWasSaidBefore) {
  Conversations talks;
  Talker talker(1);
  for (int i = 0; i < 8; ++i) talker.say(5'000);
  EXPECT_TRUE(found(talks, talker.body()).parts.empty());
  keep(talks, talker.body());
  for (int turn = 9; turn < 30; ++turn) {
    talker.say(5'000);
    const Known known = found(talks, talker.body());
    EXPECT_EQ(known.parts.size(), static_cast<std::size_t>(turn) - 1);
    EXPECT_EQ(known.parts.back().object[0], turn - 1);
    keep(talks, talker.body());
  }
  EXPECT_EQ(talks.count(), 1U) << "it is one conversation";
}

TEST(Conversations, KnowWhatStandsBehindWhatIsNew) {
  Conversations talks;
  Talker talker(1);
  for (int i = 0; i < 5; ++i) talker.say(5'000);
  keep(talks, talker.body());
  // As where a mark moves from the last message to the one behind it.
  std::string& changed = talker.messages_[2];
  changed = changed.substr(0, 100) + "!" + changed.substr(120);
  EXPECT_EQ(numbers(found(talks, talker.body())), (Numbers{1, 2, 4, 5}));
}

TEST(Conversations, KnowWhatStandsBehindAChangeThatMovesNothing) {
  Conversations talks;
  Talker talker(1);
  for (int i = 0; i < 5; ++i) talker.say(5'000);
  keep(talks, talker.body());
  for (int i = 0; i < 3; ++i) {
    talker.say(5'000);
    Said said = talker.body();
    said.text[0] = static_cast<char>('0' + i);  // before all
    EXPECT_EQ(found(talks, said).parts.size(), 5U + static_cast<std::size_t>(i));
    keep(talks, said);
    EXPECT_EQ(talks.count(), 1U);
  }
}

TEST(Conversations, AByteThatDiffersMakesItsPartNew) {
  Talker talker(1);
  for (int i = 0; i < 5; ++i) talker.say(5'000);
  const Said before = talker.body();
  SeededRandom random(3);
  for (int i = 0; i < 300; ++i) {
    Conversations talks;
    keep(talks, before);
    Said said = before;
    const std::size_t at = random.below(said.text.size());
    said.text[at] = '!';
    for (const KnownPart& part : found(talks, said).parts) {
      EXPECT_TRUE(at < part.at || at >= part.at + part.size) << at;
    }
  }
}

TEST(Conversations, OfARunAreKnownToNoOther) {
  Conversations talks;
  Talker talker(1);
  for (int i = 0; i < 5; ++i) talker.say(5'000);
  keep(talks, talker.body());
  Speaker other = kSpeaker;
  other.run = RunId::fresh();
  EXPECT_TRUE(found(talks, talker.body(), other).parts.empty());
  talks.forget(kSpeaker.run);
  EXPECT_TRUE(found(talks, talker.body()).parts.empty());
  EXPECT_EQ(talks.bytes(), 0U);
  EXPECT_EQ(talks.count(), 0U);
}

// What is nothing to the reader of one dialect may be a tool to another's.
TEST(Conversations, AreKnownOnlyAsWhatTheyWereReadAs) {
  Conversations talks;
  Talker talker(1);
  for (int i = 0; i < 5; ++i) talker.say(5'000);
  keep(talks, talker.body());
  Speaker other = kSpeaker;
  other.dialect = wire::LlmDialect::kAnthropic;
  EXPECT_TRUE(found(talks, talker.body(), other).parts.empty());
  other = kSpeaker;
  other.operation = wire::LlmOperation::kCountTokens;
  EXPECT_TRUE(found(talks, talker.body(), other).parts.empty());
  EXPECT_EQ(found(talks, talker.body()).parts.size(), 5U);
}

TEST(Conversations, ThatBeginAlikeGoOnApart) {
  Conversations talks;
  Talker one(1);
  for (int i = 0; i < 5; ++i) one.say(5'000);
  Talker other(2);
  other.messages_ = {one.messages_[0], one.messages_[1]};
  for (int i = 0; i < 3; ++i) other.say(4'000);
  keep(talks, one.body());
  EXPECT_EQ(numbers(found(talks, other.body())), (Numbers{1, 2}));
  keep(talks, other.body());
  EXPECT_EQ(talks.count(), 2U);
  for (int turn = 6; turn < 12; ++turn) {
    for (Talker* talker : {&one, &other}) {
      talker->say(5'000);
      EXPECT_EQ(found(talks, talker->body()).parts.size(), static_cast<std::size_t>(turn) - 1);
      keep(talks, talker->body());
    }
  }
  EXPECT_EQ(talks.count(), 2U);
}

// Two requests that go on the same conversation at once: neither takes the other's for its own.
TEST(Conversations, AreNotMixedUpByTwoAtATime) {
  Conversations talks;
  Talker one(1);
  for (int i = 0; i < 5; ++i) one.say(5'000);
  keep(talks, one.body());
  Talker other(2);
  other.messages_ = one.messages_;
  one.say(5'000);
  other.say(4'000);
  other.say(3'000);
  const Known first = talks.find(kSpeaker, one.body().text);
  const Known second = talks.find(kSpeaker, other.body().text);
  talks.keep(kSpeaker, first, one.body().text, one.body().parts);
  talks.keep(kSpeaker, second, other.body().text, other.body().parts);
  EXPECT_EQ(found(talks, one.body()).parts.size(), 6U);
  EXPECT_EQ(found(talks, other.body()).parts.size(), 7U);
}

TEST(Conversations, TakeNoMoreThanTheirRoom) {
  Conversations talks;
  std::vector<Talker> talkers;
  for (std::uint64_t i = 0; i < 60; ++i) {
    Talker& talker = talkers.emplace_back(i + 1);
    for (int part = 0; part < 10; ++part) talker.say(100'000);
    keep(talks, talker.body());
    EXPECT_LE(talks.bytes(), Conversations::kBytesMost);
  }
  EXPECT_GT(talks.count(), 10U);
  EXPECT_LT(talks.count(), 40U);
  EXPECT_TRUE(found(talks, talkers.front().body()).parts.empty()) << "the oldest has gone";
  EXPECT_EQ(found(talks, talkers.back().body()).parts.size(), 10U);
}

TEST(Conversations, AreOfBodiesThatAreWorthIt) {
  Conversations talks;
  Talker small(1);
  small.say(Conversations::kBodyLeast - 100);
  keep(talks, small.body());
  Talker large(2);
  large.say(Conversations::kBodyMost);
  keep(talks, large.body());
  EXPECT_EQ(talks.count(), 0U);
  EXPECT_TRUE(found(talks, small.body()).parts.empty());
  EXPECT_TRUE(found(talks, large.body()).parts.empty());
}

}  // namespace
}  // namespace gatehouse::gateway
