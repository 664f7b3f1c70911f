// SPDX-License-Identifier: Apache-2.0
#include "wire/json.h"

#include <gtest/gtest.h>

#include "wire/known_json.h"

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

TEST(Json, GivesTheMembersOfAnObjectInPlace) {
  const std::string_view text =
      R"( {"model":"a\u00e9b","n":-12,"s":true,"o":{"x":[1,2]},"z":null} )";
  const auto object = scan_object(text);
  ASSERT_TRUE(object) << object.error().message();
  EXPECT_EQ(object->string("model"),
            "a\xc3\xa9"
            "b");
  EXPECT_EQ(object->find("n")->integer(), -12);
  EXPECT_EQ(object->find("s")->boolean(), true);
  EXPECT_EQ(object->find("o")->raw, R"({"x":[1,2]})");
  EXPECT_TRUE(object->find("z")->is(JsonType::kNull));
  EXPECT_EQ(object->find("none"), nullptr);
  EXPECT_EQ(scan_array("[1, \"a\" ,[]]")->size(), 3U);
}

TEST(Json, TellsWhereItIsBroken) {
  for (const char* text : {"",
                           "{",
                           "{}x",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":+1}",
                           "{\"a\":1e}",
                           "{\"a\":tru}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"\xff\"}",
                           "{\"a\":\"\xed\xa0\x80\"}",
                           "{\"a\":\"\xc0\x80\"}",
                           "[1]",
                           "{\"a\":NaN}",
                           "{'a':1}",
                           "{\"\\ud800\":1}"}) {
    EXPECT_EQ(scan_object(text).error(), Error::kInvalid) << text;
  }
  EXPECT_TRUE(scan_object("{\"a\":01}").error().message().contains("at byte 7"));
  const std::string deep(65, '[');
  EXPECT_EQ(scan_value(deep).error(), Error::kTooLarge);
}

TEST(Json, RefusesAKeyThatIsThereTwice) {
  EXPECT_EQ(scan_object(R"({"model":1,"\u006dodel":2})").error(), Error::kInvalid);
  const std::string_view nested = R"({"a":[{"b":1,"b":2}]})";
  EXPECT_TRUE(scan_object(nested));
  EXPECT_EQ(scan_object(nested, Duplicates::kRejectEverywhere).error(), Error::kInvalid);
}

TEST(KnownJson, IsGoneOverWhereAValueIsDue) {
  // What nobody looks into need not be right: that is how one sees that nobody did.
  const std::string text = R"({"messages": [{"a": 1}, {wrong}, {"b": 2}], "x": {"c": 3}})";
  KnownJson known;
  EXPECT_FALSE(scan_object(text, known));
  known.add(std::string_view(text).substr(text.find("{wrong}"), 7));
  const auto object = scan_object(text, known);
  ASSERT_TRUE(object) << object.error().message();
  EXPECT_EQ(object->members.size(), 2U);
  const auto all = scan_array(object->find("messages")->raw, known);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 3U);
  EXPECT_FALSE(known.holds((*all)[0]));
  EXPECT_TRUE(known.holds((*all)[1]));
  EXPECT_EQ((*all)[1].raw, "{wrong}");
  EXPECT_EQ((*all)[2].raw, R"({"b": 2})");
}

TEST(KnownJson, IsNothingInsideOfATextOrWhereItWouldBeNestedDeeper) {
  const auto with = [](const std::string& text, std::string_view part) {
    KnownJson known;
    known.add(std::string_view(text).substr(text.find(part), part.size()));
    return scan_object(text, known);
  };
  const std::string text = R"({"a":["x{\"y\":1}z"]})";
  const auto object = with(text, R"({\"y\":1})");
  ASSERT_TRUE(object);
  EXPECT_EQ(object->find("a")->raw, R"(["x{\"y\":1}z"])");
  EXPECT_FALSE(with(R"({"a":[{"b":{wrong}}]})", "{wrong}"));
  EXPECT_FALSE(with(R"({wrong})", "{wrong}")) << "the members of the whole are asked for";
  EXPECT_FALSE(with(R"({"a":[{"b":1}x]})", R"({"b":1})"));
}

TEST(Json, IsWrittenWithItsCommas) {
  JsonWriter json;
  json.begin_object().key("a").string("x\"\n").key("b").begin_array().integer(1).boolean(false);
  json.begin_object().end_object().end_array().key("c").null().end_object();
  EXPECT_EQ(json.text(), R"({"a":"x\"\n","b":[1,false,{}],"c":null})");
}

// Each byte at each place of the words that are looked at together.
TEST(PlainJsonPrefix, StopsAtEveryByteThatDoesNotStandForItself) {
  for (std::size_t at = 0; at < 24; ++at) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::string text(24, 'a');
      text[at] = static_cast<char>(byte);
      const bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
      EXPECT_EQ(plain_json_prefix(text), is_plain ? 24U : at) << byte << " at " << at;
      if (at + 1 < text.size()) {
        text[at + 1] = '\x01';
        EXPECT_EQ(plain_json_prefix(text), is_plain ? at + 1 : at) << byte << " at " << at;
      }
    }
  }
}

}  // namespace
}  // namespace gatehouse::wire
