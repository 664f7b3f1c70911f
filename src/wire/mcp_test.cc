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
  const auto call = McpToolCall::of(*JsonRpcMessage::parse(text));
  ASSERT_TRUE(call);
  EXPECT_EQ(call->name, "send");
  EXPECT_EQ(call->arguments, R"({"to":"x"})");
  EXPECT_EQ(call->traceparent, "00-a");
}

std::string carrying(std::string_view text, bool keeps_state = false) {
  const auto edit = trace_edit(text, *JsonRpcMessage::parse(text), "00-t", keeps_state);
  return edit && *edit ? edited(text, **edit) : "not edited";
}

TEST(Mcp, CarriesATraceWhereverThereIsPlaceForIt) {
  EXPECT_EQ(
      carrying(R"({ "jsonrpc":"2.0", "id":1,"method":"ping"})"),
      R"({"params":{"_meta":{"traceparent":"00-t"}}, "jsonrpc":"2.0", "id":1,"method":"ping"})");
  EXPECT_EQ(carrying(R"({"jsonrpc":"2.0","id":1,"method":"x","params":{ }})"),
            R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"traceparent":"00-t"} }})");
  EXPECT_EQ(carrying(R"({"jsonrpc":"2.0","id":1,"method":"x","params":{ "name": "a"}})"),
            R"({"jsonrpc":"2.0","id":1,"method":"x",)"
            R"("params":{"_meta":{"traceparent":"00-t"}, "name": "a"}})");
  const std::string_view has = R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":)"
                               R"({"progressToken": 1.0e2,"traceparent":"00-a","tracestate":"k=v"})"
                               R"(, "name": "a"}})";
  const std::string head = R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":)";
  EXPECT_EQ(carrying(has), head + R"({"traceparent":"00-t","progressToken":1.0e2}, "name": "a"}})");
  EXPECT_EQ(
      carrying(has, true),
      head + R"({"traceparent":"00-t","progressToken":1.0e2,"tracestate":"k=v"}, "name": "a"}})");
}

TEST(Mcp, CarriesNoTraceWhereThereIsNoPlaceForIt) {
  for (const char* text : {R"({"jsonrpc":"2.0","method":"notifications/x"})",
                           R"({"jsonrpc":"2.0","id":1,"result":{}})",
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
