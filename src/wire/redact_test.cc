// SPDX-License-Identifier: Apache-2.0
#include "wire/redact.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kValue = "sk-\"live\"/42+é";

std::string redacted(std::string_view text, std::size_t split) {
  const auto forms = std::make_shared<RedactionForms>();
  EXPECT_TRUE(forms->add(Secret(kValue)));
  EXPECT_TRUE(forms->add(Secret("abcabcabd")));
  Redactor redactor(forms, "[gone]");
  std::string out;
  redactor.feed(text.substr(0, split), out);
  redactor.feed(text.substr(split), out);
  redactor.finish(out);
  EXPECT_EQ(forms->are_in(text), out != text);
  return out;
}

std::string redacted_any_way(std::string_view text) {
  const std::string whole = redacted(text, 0);
  for (std::size_t split = 1; split <= text.size(); ++split) {
    EXPECT_EQ(redacted(text, split), whole) << split;
  }
  return whole;
}

TEST(Redactor, FindsEveryFormAtEverySplit) {
  const std::string value(kValue);
  EXPECT_EQ(redacted_any_way("a " + value + " b"), "a [gone] b");
  EXPECT_EQ(redacted_any_way(to_hex(bytes_of(value))), "[gone]");
  EXPECT_EQ(redacted_any_way(percent_encoded(value)), "[gone]");
  EXPECT_EQ(redacted_any_way(json_quoted(value)), "\"[gone]\"");
  for (const char* before : {"", "x", "xy", "xyz"}) {
    EXPECT_TRUE(redacted_any_way(to_base64(before + value + "tail")).contains("[gone]")) << before;
    EXPECT_TRUE(redacted_any_way(to_base64url(before + value)).contains("[gone]")) << before;
  }
  EXPECT_EQ(redacted_any_way("abcabcabcabd abcabc"), "abc[gone] abcabc");
  EXPECT_EQ(redacted_any_way("nothing here"), "nothing here");
}

TEST(Redactor, HoldsBackOnlyWhatMayBecomeAHit) {
  const auto forms = std::make_shared<RedactionForms>();
  ASSERT_TRUE(forms->add(Secret("abcabcabd")));
  EXPECT_EQ(forms->add(Secret("short")).error(), Error::kInvalid);
  Redactor redactor(forms, "[gone]");
  std::string out;
  redactor.feed("hello abcx abc", out);
  EXPECT_EQ(out, "hello abcx ");
  redactor.feed("!", out);
  EXPECT_EQ(out, "hello abcx abc!");
}

}  // namespace
}  // namespace gatehouse::wire
