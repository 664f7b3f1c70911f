// SPDX-License-Identifier: Apache-2.0
#include "wire/mcp.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

TEST(JsonRpc, TellsItsKindsApart) {
  using Kind = JsonRpcMessage::Kind;
  const auto kind = [](std::string_view text) { return JsonRpcMessage::parse(text)->kind; };
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":"a","method":"ping"})"), Kind::kRequest);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","method":"notifications/x"})"), Kind::kNotification);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"result":{}})"), Kind::kResponse);
  EXPECT_EQ(JsonRpcMessage::parse(" [{}]").error(), Error::kUnsupported);
  for (const char* text :
       {R"({"id":1,"method":"x"})", R"({"jsonrpc":"2.0","id":1.5,"method":"x"})",
        R"({"jsonrpc":"2.0","id":1,"method":"x","params":3})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"name":"a","n\u0061me":"b"}})",
        R"({"jsonrpc":"2.0","id":1,"result":1,"error":{}})"}) {
    EXPECT_EQ(JsonRpcMessage::parse(text).error(), Error::kInvalid) << text;
  }
}

TEST(JsonRpc, AnswersWithTheCallersId) {
  EXPECT_EQ(json_rpc_error("\"a\"", -32600, "no"),
            R"({"jsonrpc":"2.0","id":"a","error":{"code":-32600,"message":"no"}})");
}

TEST(Mcp, ReadsAToolCall) {
  const std::string text =
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send",)"
      R"("arguments":{"to":"x"},"_meta":{"traceparent":"00-a"}}})";
  const auto message = JsonRpcMessage::parse(text).value();
  const auto params = McpParams::of(message).value();
  const auto call = McpToolCall::of(message, params);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->name, "send");
  EXPECT_EQ(call->arguments, R"({"to":"x"})");
  EXPECT_EQ(params.traceparent(), "00-a");
}

std::string carrying(std::string_view text, bool is_continued = false) {
  const auto message = JsonRpcMessage::parse(text).value();
  const auto edit = trace_edit(text, message, McpParams::of(message).value(), "00-t", is_continued);
  return edit ? edited(text, *edit) : "not edited";
}

TEST(Mcp, CarriesATraceWhereverThereIsPlaceForIt) {
  EXPECT_EQ(
      carrying(R"( { "jsonrpc":"2.0", "id":1,"method":"ping"})"),
      R"( {"params":{"_meta":{"traceparent":"00-t"}}, "jsonrpc":"2.0", "id":1,"method":"ping"})");
  const std::string head = R"({"jsonrpc":"2.0","id":1,"method":"x","params":)";
  EXPECT_EQ(carrying(head + "{ }}"), head + R"({"_meta":{"traceparent":"00-t"} }})");
  EXPECT_EQ(carrying(head + R"({ "name": "a"}})"),
            head + R"({"_meta":{"traceparent":"00-t"}, "name": "a"}})");
  EXPECT_EQ(carrying(head + R"({"_meta":{ }, "name": "a"}})"),
            head + R"({"_meta":{"traceparent":"00-t" }, "name": "a"}})");
}

// White space, escapes and order are the sender's.
TEST(Mcp, CarriesATraceInThePlaceOfTheSendersAndKeepsAllElse) {
  const std::string before =
      R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{ "k\u0061" : 1.0e2 , )"
      R"("traceparent" :"00-)";
  const std::string between = R"(", "tracestate": )";
  const std::string after = R"( , "z":null}, "name": "a"}})";
  const std::string own = before + "a" + between + R"("k=v")" + after;
  EXPECT_EQ(carrying(own), before + "t" + between + R"("")" + after);
  EXPECT_EQ(carrying(own, true), before + "t" + between + R"("k=v")" + after);
  for (const char* bad : {R"("NOT VALID,,==")", "17", "null", R"("a=1,a=2")"}) {
    EXPECT_EQ(carrying(before + "a" + between + bad + after, true),
              before + "t" + between + R"("")" + after)
        << bad;
  }
}

TEST(Mcp, CarriesATraceInANotificationOnlyWhereThereIsOne) {
  const std::string head = R"({"jsonrpc":"2.0","method":"notifications/x")";
  EXPECT_EQ(carrying(head + "}"), "not edited");
  EXPECT_EQ(carrying(head + R"(,"params":{"_meta":{"k":1}}})"), "not edited");
  EXPECT_EQ(carrying(head + R"(,"params":{"_meta":{"traceparent":"00-a"}}})"),
            head + R"(,"params":{"_meta":{"traceparent":"00-t"}}})");
}

TEST(Mcp, CarriesNoTraceWhereThereIsNoPlaceForIt) {
  for (const char* text : {R"({"jsonrpc":"2.0","id":1,"result":{}})",
                           R"({"jsonrpc":"2.0","id":1,"method":"x","params":[]})",
                           R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":null}})",
                           R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":"m"}})"}) {
    EXPECT_EQ(carrying(text), "not edited") << text;
  }
}

TEST(Mcp, SummarisesAResult) {
  const std::string text = R"({"jsonrpc":"2.0","id":1,"result":{"isError":true,)"
                           R"("content":[{"type":"text","text":"oh"}]}})";
  const auto result = McpToolResult::of(*JsonRpcMessage::parse(text));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->is_error);
  EXPECT_EQ(result->text, "oh");
}

}  // namespace
}  // namespace gatehouse::wire
