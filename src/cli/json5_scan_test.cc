// SPDX-License-Identifier: Apache-2.0
#include "cli/json5_scan.h"

#include <gtest/gtest.h>

#include <map>

namespace gatehouse::cli {
namespace {

std::string path_of(const std::vector<Json5Node>& nodes, const Json5Node& node) {
  if (node.parent == Json5Node::kNone) return "";
  const std::string above = path_of(nodes, nodes[node.parent]);
  return above.empty() ? node.key : above + "." + node.key;
}

// Every scalar by its path, strings decoded, all else as it is written.
std::map<std::string, std::string> leaves(std::string_view text) {
  const auto nodes = scan_json5(text);
  if (!nodes) return {{"error", nodes.error().message()}};
  std::map<std::string, std::string> out;
  for (const Json5Node& node : *nodes) {
    const std::string_view token = text.substr(node.begin, node.end - node.begin);
    if (node.type == Json5Type::kString) out[path_of(*nodes, node)] = *json5_string(token);
    if (node.type == Json5Type::kOther) out[path_of(*nodes, node)] = token;
  }
  return out;
}

using Leaves = std::map<std::string, std::string>;

TEST(Json5, ReadsWhatPeopleWrite) {
  const std::string_view text = R"(// settings
{
  a: 'one', /* two
  lines */ "b": "x\"y", 'c d': [1, +.5, -0x1F, Infinity, 'q',],
  $e_1: { f: null, g: true, },
  \u0068: 'it\'s \
long',
}
)";
  EXPECT_EQ(leaves(text), (Leaves{{"a", "one"},
                                  {"b", "x\"y"},
                                  {"c d.0", "1"},
                                  {"c d.1", "+.5"},
                                  {"c d.2", "-0x1F"},
                                  {"c d.3", "Infinity"},
                                  {"c d.4", "q"},
                                  {"$e_1.f", "null"},
                                  {"$e_1.g", "true"},
                                  {"h", "it's long"}}));
}

TEST(Json5, ReadsJsonAsJsonIs) {
  EXPECT_EQ(leaves(R"({"a":{"b":[{"c":"d"},-1.5e+10]},"e":""})"),
            (Leaves{{"a.b.0.c", "d"}, {"a.b.1", "-1.5e+10"}, {"e", ""}}));
  EXPECT_EQ(leaves("\xef\xbb\xbf'x'"), (Leaves{{"", "x"}}));
}

TEST(Json5, DecodesEscapes) {
  EXPECT_EQ(json5_string(R"('\x41\u00e9\n\0\v\q\'')"), std::string("A\xc3\xa9\n\0\vq'", 8));
  EXPECT_EQ(json5_string("\"\\ud83d\\ude00\""), "\xf0\x9f\x98\x80");
  EXPECT_EQ(json5_string("\"\\ud83d\""), "\xef\xbf\xbd");
  EXPECT_EQ(json5_string("\"a\\\r\nb\""), "ab");
  for (const std::string_view bad :
       {"", "'", "'a", "a", "'a\"", "'\\x4'", "'\\01'", "'\\9'", "'a'b'"}) {
    EXPECT_FALSE(json5_string(bad)) << bad;
  }
}

TEST(Json5, SaysWhereTextIsWrongAndNeverWhatStandsThere) {
  const std::map<std::string, std::string> cases = {
      {"{a: 'sk-secret'\n b: 1}", "line 2, column 2: a comma or } should stand here"},
      {"{a 1}", "line 1, column 4: a colon should stand after the key"},
      {"{a: sk-secret}", "line 1, column 5: a value should stand here"},
      {"{a: 'sk-secret\n'}", "line 1, column 5: this text does not end on its line"},
      {"['a", "line 1, column 2: this text does not end"},
      {"{,}", "line 1, column 2: a key should stand here"},
      {"[1,,2]", "line 1, column 4: a value should stand here"},
      {"[01]", "line 1, column 4: a number does not begin with 0"},
      {"[1x]", "line 1, column 3: this value does not end"},
      {"[0x]", "line 1, column 4: a hexadecimal digit should stand here"},
      {"[1e]", "line 1, column 4: an exponent should stand here"},
      {"['\\x4g']", "line 1, column 4: this is no escape sequence"},
      {"/* ", "line 1, column 1: this comment does not end"},
      {"{} {}", "line 1, column 4: the text should end here"},
      {"", "line 1, column 1: a value should stand here"},
      {"[1", "line 1, column 3: a comma or ] should stand here"},
      {"'\xff'", "it is not UTF-8 text"},
  };
  for (const auto& [text, what] : cases) EXPECT_EQ(leaves(text)["error"], what) << text;
}

TEST(Json5, HoldsItsBounds) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[')
           + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_TRUE(scan_json5(nested(kJson5DepthMost)));
  EXPECT_EQ(scan_json5(nested(kJson5DepthMost + 1)).error(), Error::kTooLarge);
  std::string many = "[";
  for (std::size_t i = 1; i < kJson5NodesMost; ++i) many += "1,";
  EXPECT_TRUE(scan_json5(many + "]"));
  EXPECT_EQ(scan_json5(many + "1]").error(), Error::kTooLarge);
  EXPECT_EQ(scan_json5(std::string(kJson5Most + 1, ' ')).error(), Error::kTooLarge);
}

// What an edit does to a text: the value is another, and nothing else is.
TEST(Json5, ASpliceChangesOneValueAndNothingElse) {
  const std::string text = "{ // c\n a: 'x', b: [ \"y\", { 'c': 'z' /* d */ }, ], }\n";
  const auto nodes = *scan_json5(text);
  const Leaves before = leaves(text);
  for (const Json5Node& node : nodes) {
    if (node.type != Json5Type::kString) continue;
    const std::string changed = text.substr(0, node.begin) + "'${NEW}'" + text.substr(node.end);
    Leaves expected = before;
    expected[path_of(nodes, node)] = "${NEW}";
    EXPECT_EQ(leaves(changed), expected);
    EXPECT_TRUE(changed.contains("// c") && changed.contains("/* d */"));
  }
}

}  // namespace
}  // namespace gatehouse::cli
