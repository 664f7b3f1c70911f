// SPDX-License-Identifier: Apache-2.0
#include "cli/dotenv.h"

#include <gtest/gtest.h>

#include <string>

namespace gatehouse::cli {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs pairs(std::string_view text) {
  Pairs out;
  for (const DotenvEntry& entry : *scan_dotenv(text)) out.emplace_back(entry.name, entry.value);
  return out;
}

TEST(Dotenv, ReadsWhatDotenvReads) {
  EXPECT_EQ(pairs("# c\n\nA=1\n export B = two \nC='x # y' # z\nD=\"a\\\"b\"\nE=\nF=a#b\nG=a #b\r\n"
                  "no entry\n=x\nH=`q`"),
            (Pairs{{"A", "1"},
                   {"B", "two"},
                   {"C", "x # y"},
                   {"D", "a\\\"b"},
                   {"E", ""},
                   {"F", "a#b"},
                   {"G", "a"},
                   {"H", "q"}}));
}

TEST(Dotenv, AValueInQuotesGoesOverLines) {
  EXPECT_EQ(pairs("A=\"one\nB=two\nthree\" # x\nC=4\n"),
            (Pairs{{"A", "one\nB=two\nthree"}, {"C", "4"}}));
  // A quote that does not end is a character like others.
  EXPECT_EQ(pairs("A='one\nB=two\n"), (Pairs{{"A", "'one"}, {"B", "two"}}));
}

TEST(Dotenv, ASpliceChangesOneValueAndNothingElse) {
  const std::string text = "# c\nexport A='one' # d\nB=two\r\n";
  const auto entries = *scan_dotenv(text);
  EXPECT_EQ(text.substr(0, entries[0].begin) + "${A}" + text.substr(entries[0].end),
            "# c\nexport A=${A} # d\nB=two\r\n");
  EXPECT_EQ(text.substr(0, entries[1].begin) + "${B}" + text.substr(entries[1].end),
            "# c\nexport A='one' # d\nB=${B}\r\n");
}

TEST(Dotenv, HoldsItsBounds) {
  EXPECT_EQ(scan_dotenv(std::string(kDotenvMost + 1, 'A')).error(), Error::kTooLarge);
  EXPECT_TRUE(scan_dotenv(std::string(kDotenvLinesMost, '\n')));
  EXPECT_EQ(scan_dotenv(std::string(kDotenvLinesMost + 1, '\n')).error(), Error::kTooLarge);
  EXPECT_EQ(scan_dotenv(std::string_view("A=\0", 3)).error(), Error::kInvalid);
}

}  // namespace
}  // namespace gatehouse::cli
