// SPDX-License-Identifier: Apache-2.0
#include "gateway/known_values.h"

#include <gtest/gtest.h>

namespace gatehouse::gateway {
namespace {

std::vector<Secret> values(std::initializer_list<std::string_view> texts) {
  std::vector<Secret> out;
  for (const std::string_view text : texts) out.emplace_back(text);
  return out;
}

std::string redacted(std::shared_ptr<const wire::RedactionForms> forms, std::string_view text) {
  wire::Redactor redactor(std::move(forms), "-");
  std::string out;
  redactor.feed(text, out);
  redactor.finish(out);
  return out;
}

TEST(KnownValues, AreSharedByThoseThatHaveTheSameAtTheSameTime) {
  KnownValues known;
  const auto first = known.forms_of("a.test", values({"secret-1"}));
  ASSERT_TRUE(first);
  EXPECT_EQ(*known.forms_of("a.test", values({"secret-1"})), *first);
  EXPECT_NE(*known.forms_of("b.test", values({"secret-1"})), *first);
}

TEST(KnownValues, AnotherValueIsLookedForAtOnce) {
  KnownValues known;
  const auto before = known.forms_of("a.test", values({"secret-1"}));
  const auto after = known.forms_of("a.test", values({"secret-2", "secret-1"}));
  ASSERT_TRUE(before && after);
  EXPECT_EQ(redacted(*before, "secret-1 secret-2"), "- secret-2");
  EXPECT_EQ(redacted(*after, "secret-1 secret-2"), "- -");
}

TEST(KnownValues, NothingIsKeptAfterTheLastExchange) {
  KnownValues known;
  auto forms = known.forms_of("a.test", values({"secret-1"}));
  ASSERT_TRUE(forms);
  const std::weak_ptr<const wire::RedactionForms> watched = *forms;
  forms = failure(Error::kInternal, "gone");
  EXPECT_TRUE(watched.expired());
}

TEST(KnownValues, WhatIsTooShortToFindIsLeftOut) {
  KnownValues known;
  const auto forms = known.forms_of("a.test", values({"abc"}));
  ASSERT_TRUE(forms);
  EXPECT_EQ(redacted(*forms, "abc"), "abc");
}

}  // namespace
}  // namespace gatehouse::gateway
