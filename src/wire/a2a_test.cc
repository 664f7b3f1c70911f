// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a.h"

#include <gtest/gtest.h>

#include <array>

namespace gatehouse::wire {
namespace {

using Binding = A2aEndpoint::Binding;
using Op = A2aOperation;

const A2aEndpoint kRpc{Binding::kJsonRpc, Op::kOther, ""};

A2aVersion named(std::string_view version) { return a2a_version(version).value(); }

Result<A2aCall> rpc(std::string_view method, std::string_view params, std::string_view version) {
  const std::string body = std::string(R"({"jsonrpc":"2.0","id":7,"method":")")
                           + std::string(method) + R"(","params":)" + std::string(params) + "}";
  return A2aCall::parse(kRpc, named(version), body);
}

// Vectors: the examples of docs/specification.md (1.0) and of 0.3.0's, shortened.
constexpr std::string_view kMessage03 =
    R"({"message":{"role":"user","parts":[{"kind":"text","text":"tell me a joke"},)"
    R"({"kind":"file","file":{"name":"in.txt","bytes":"aGk="}},{"kind":"text","text":"please"}],)"
    R"("messageId":"9229e770","taskId":"t-1","contextId":"c-1"},"metadata":{}})";
constexpr std::string_view kMessage10 =
    R"({"message":{"role":"ROLE_USER","parts":[{"text":"What is the weather?"},)"
    R"({"raw":"aGk=","mediaType":"text/plain"}],"messageId":"msg-uuid","contextId":"c-2"},)"
    R"("configuration":{"acceptedOutputModes":["text/plain"],"taskPushNotificationConfig":null}})";

TEST(A2a, ReadsWhatIsSaidInBothVersions) {
  const auto old = rpc("message/send", kMessage03, "");
  ASSERT_TRUE(old) << old.error().message();
  EXPECT_EQ(old->operation, Op::kSendMessage);
  EXPECT_EQ(old->version, A2aVersion::k03);
  EXPECT_EQ(old->name(), "SendMessage");
  EXPECT_EQ(old->id, "7");
  EXPECT_EQ(old->text, "tell me a joke\nplease");
  EXPECT_EQ(old->task, "t-1");
  EXPECT_EQ(old->context, "c-1");
  EXPECT_FALSE(old->gives_webhook);

  const auto now = rpc("SendStreamingMessage", kMessage10, "1.0");
  ASSERT_TRUE(now) << now.error().message();
  EXPECT_EQ(now->operation, Op::kSendStreamingMessage);
  EXPECT_EQ(now->version, A2aVersion::k10);
  EXPECT_EQ(now->text, "What is the weather?");
  EXPECT_EQ(now->context, "c-2");
  EXPECT_FALSE(now->gives_webhook) << "null is nothing";
}

TEST(A2a, KnowsEachOperationByBothItsNames) {
  constexpr std::array<std::array<std::string_view, 2>, 10> kNames = {{
      {"SendMessage", "message/send"},
      {"SendStreamingMessage", "message/stream"},
      {"GetTask", "tasks/get"},
      {"CancelTask", "tasks/cancel"},
      {"SubscribeToTask", "tasks/resubscribe"},
      {"CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set"},
      {"GetTaskPushNotificationConfig", "tasks/pushNotificationConfig/get"},
      {"ListTaskPushNotificationConfigs", "tasks/pushNotificationConfig/list"},
      {"DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/delete"},
      {"GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"},
  }};
  for (const auto& [name, method] : kNames) {
    EXPECT_EQ(name_of(a2a_operation(name)), name);
    EXPECT_EQ(name_of(a2a_operation(method)), name);
  }
  EXPECT_EQ(a2a_operation("ListTasks"), Op::kListTasks);
  for (const char* method : {"tasks/send", "sendMessage", "message/Send", "tasks/list", ""}) {
    EXPECT_EQ(a2a_operation(method), Op::kOther) << method;
  }
  EXPECT_TRUE(changes_something(Op::kOther));
  EXPECT_TRUE(changes_something(Op::kCancelTask));
  EXPECT_FALSE(changes_something(Op::kGetTask));
  EXPECT_FALSE(changes_something(Op::kSubscribeToTask));
}

TEST(A2a, TellsWhichTaskItIsAbout) {
  EXPECT_EQ(rpc("tasks/get", R"({"id":"t-3","historyLength":1})", "")->task, "t-3");
  EXPECT_EQ(rpc("CancelTask", R"({"id":"t-4"})", "1.0")->task, "t-4");
  EXPECT_EQ(rpc("GetTaskPushNotificationConfig", R"({"taskId":"t-5","id":"p"})", "1.0")->task,
            "t-5");
  EXPECT_EQ(rpc("GetExtendedAgentCard", "{}", "1.0")->operation, Op::kGetExtendedAgentCard);
}

TEST(A2a, FindsAWebhookHoweverItIsSpelled) {
  for (const char* key :
       {"pushNotificationConfig", "taskPushNotificationConfig", "pushNotification",
        "push_notification_config", "task_push_notification_config", "PushNotificationConfig"}) {
    const auto call = rpc("SendMessage",
                          std::string(R"({"message":{"parts":[]},"configuration":{")") + key
                              + R"(":{"url":"https://hook.example/x","token":"t"}}})",
                          "1.0");
    ASSERT_TRUE(call) << key;
    EXPECT_TRUE(call->gives_webhook) << key;
    EXPECT_EQ(call->webhook, "https://hook.example/x") << key;
  }
  const auto set =
      rpc("tasks/pushNotificationConfig/set",
          R"({"taskId":"t","pushNotificationConfig":{"url":"https://a.example"}})", "");
  EXPECT_TRUE(set->gives_webhook);
  EXPECT_EQ(set->webhook, "https://a.example");
  const auto create =
      rpc("CreateTaskPushNotificationConfig", R"({"taskId":"t","url":"https://b.example"})", "1.0");
  EXPECT_EQ(create->webhook, "https://b.example");
}

TEST(A2a, RefusesWhatTwoReadersCouldTakeDifferently) {
  for (const char* params :
       {R"({"message":{"parts":[]},"Message":{"parts":[]}})",
        R"({"message":{"parts":[]},"configuration":{"a":1},"Configuration":{}})",
        R"({"message":{"parts":[]},"configuration":{"pushNotificationConfig":null,)"
        R"("push_notification_config":{"url":"https://x.example"}}})",
        R"({"message":{"parts":[]},"configuration":{"pu\u017fhNotificationConfig":{}}})",
        R"({"message":{"parts":[]},"configuration":[]})", R"({"message":[]})", "{}", "[]"}) {
    EXPECT_EQ(rpc("SendMessage", params, "1.0").error(), Error::kInvalid) << params;
  }
  for (const char* body :
       {R"({"jsonrpc":"2.0","id":1,"method":"GetTask","Method":"CancelTask","params":{"id":"t"}})",
        R"({"jsonrpc":"2.0","id":1,"method":"GetTask"})", R"({"jsonrpc":"2.0","id":1,"result":{}})",
        R"({"jsonrpc":"2.0","id":1,"method":"GetAgentCard","params":{}})", "", "{"}) {
    EXPECT_EQ(A2aCall::parse(kRpc, A2aVersion::k10, body).error(), Error::kInvalid) << body;
  }
  EXPECT_EQ(A2aCall::parse(kRpc, A2aVersion::k10, "[]").error(), Error::kUnsupported);
}

TEST(A2a, KnowsItsVersions) {
  EXPECT_EQ(a2a_version(""), A2aVersion::k03);
  EXPECT_EQ(a2a_version("0.3"), A2aVersion::k03);
  EXPECT_EQ(a2a_version("0.3.0"), A2aVersion::k03);
  EXPECT_EQ(a2a_version(" 1.0 "), A2aVersion::k10);
  EXPECT_EQ(a2a_version("1.1"), A2aVersion::k10);
  for (const char* version : {"2.0", "0.2", "0.30", "10", "one"}) {
    EXPECT_EQ(a2a_version(version).error(), Error::kUnsupported) << version;
  }
  EXPECT_EQ(a2a_version("", "?x=1&a2a-version=1.0"), A2aVersion::k10);
  EXPECT_EQ(a2a_version("1.0", "?A2A%2DVersion=1%2E0"), A2aVersion::k10);
  EXPECT_EQ(a2a_version("", "?x=A2A-Version"), A2aVersion::k03);
  EXPECT_EQ(a2a_version("", "?A2A-Version=2.0").error(), Error::kUnsupported);
  EXPECT_EQ(a2a_version("1.0", "?A2A-Version=2.0").error(), Error::kUnsupported);
  EXPECT_EQ(a2a_version("", "?A2A-Version=%").error(), Error::kUnsupported);
  EXPECT_EQ(a2a_version("1.0", "?A2A-Version=0.3").error(), Error::kInvalid);
}

TEST(A2a, KeepsAMethodOfAnExtensionAsItStands) {
  const auto call = rpc("acme/undo", R"({"id":"t"})", "");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->operation, Op::kOther);
  EXPECT_EQ(call->name(), "acme/undo");
}

A2aEndpoint at(std::string_view method, std::string_view path,
               std::string_view type = "application/json") {
  return a2a_endpoint(method, path, type);
}

TEST(A2aEndpoint, FindsHttpJsonBehindAnyBase) {
  struct Row {
    const char* method;
    const char* path;
    Op operation;
    const char* task;
  };
  for (const Row& row : {
           Row{"POST", "/message:send", Op::kSendMessage, ""},
           Row{"POST", "/v1/message:stream", Op::kSendStreamingMessage, ""},
           Row{"POST", "/acme/message:send", Op::kSendMessage, ""},
           Row{"GET", "/tasks", Op::kListTasks, ""},
           Row{"GET", "/a2a/rest/tasks/t-1", Op::kGetTask, "t-1"},
           Row{"POST", "/v1/tasks/t-1:cancel", Op::kCancelTask, "t-1"},
           Row{"GET", "/tasks/t-1:subscribe", Op::kSubscribeToTask, "t-1"},
           Row{"POST", "/v1/tasks/t-1:subscribe", Op::kSubscribeToTask, "t-1"},
           Row{"POST", "/tasks/t-1/pushNotificationConfigs", Op::kCreateTaskPushNotificationConfig,
               "t-1"},
           Row{"GET", "/tasks/t-1/pushNotificationConfigs", Op::kListTaskPushNotificationConfigs,
               "t-1"},
           Row{"GET", "/tasks/t-1/pushNotificationConfigs/p", Op::kGetTaskPushNotificationConfig,
               "t-1"},
           Row{"DELETE", "/tasks/t-1/pushNotificationConfigs/p",
               Op::kDeleteTaskPushNotificationConfig, "t-1"},
           Row{"GET", "/extendedAgentCard", Op::kGetExtendedAgentCard, ""},
           Row{"GET", "/v1/card", Op::kGetExtendedAgentCard, ""},
           Row{"GET", "/.well-known/agent-card.json", Op::kGetAgentCard, ""},
           Row{"GET", "/helper/.well-known/agent.json", Op::kGetAgentCard, ""},
       }) {
    const A2aEndpoint endpoint = at(row.method, row.path);
    EXPECT_EQ(endpoint.binding, Binding::kHttpJson) << row.path;
    EXPECT_EQ(endpoint.operation, row.operation) << row.path;
    EXPECT_EQ(endpoint.task, row.task) << row.path;
  }
}

TEST(A2aEndpoint, TakesAnyOtherPostForJsonRpc) {
  for (const char* path : {"/", "/a2a/jsonrpc", "/tasks", "/agents/7"}) {
    EXPECT_EQ(at("POST", path).binding, Binding::kJsonRpc) << path;
    EXPECT_EQ(at("POST", path, "").binding, Binding::kJsonRpc) << path;
  }
  EXPECT_EQ(at("POST", "/", "application/json; charset=utf-8").binding, Binding::kJsonRpc);
  EXPECT_EQ(at("POST", "/message:send", "application/a2a+json").binding, Binding::kHttpJson);
}

TEST(A2aEndpoint, LeavesOutWhatIsNotRelayed) {
  // As a lenient server would take it for an operation of HTTP+JSON, past what was ruled on.
  for (const char* path : {"/Message:Send", "/message:send/", "/v1/message:stream;x=1",
                           "/tasks/t:CANCEL", "/tasks/t/PushNotificationConfigs"}) {
    EXPECT_EQ(at("POST", path).binding, Binding::kNone) << path;
  }
  for (const char* method : {"PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"}) {
    EXPECT_EQ(at(method, "/tasks/t").binding, Binding::kNone) << method;
  }
  EXPECT_EQ(at("GET", "/").binding, Binding::kNone);
  EXPECT_EQ(at("GET", "/tasks/t:cancel").binding, Binding::kNone);
  EXPECT_EQ(at("GET", "/message:send").binding, Binding::kNone);
  for (const char* type : {"application/grpc", "application/grpc+json", "text/plain",
                           "application/x-www-form-urlencoded", "multipart/form-data"}) {
    EXPECT_EQ(at("POST", "/lf.a2a.v1.A2AService/SendMessage", type).binding, Binding::kNone)
        << type;
  }
}

TEST(A2aEndpoint, ReadsTheBodiesOfHttpJson) {
  const auto parsed = [](const char* path, std::string_view body) {
    return A2aCall::parse(at("POST", path), A2aVersion::k10, body);
  };
  EXPECT_EQ(parsed("/message:send", kMessage10)->text, "What is the weather?");
  // 0.3 sends protobuf's names: content for parts, request for message.
  const auto old = parsed("/v1/message:send",
                          R"({"request":{"content":[{"text":"hi"}],"task_id":"t-9"},)"
                          R"("configuration":{"pushNotification":{"url":"https://x.example"}}})");
  ASSERT_TRUE(old) << old.error().message();
  EXPECT_EQ(old->text, "hi");
  EXPECT_EQ(old->task, "t-9");
  EXPECT_EQ(old->webhook, "https://x.example");
  for (const char* body : {"", "null", "{}", R"({"metadata":{}})"}) {
    EXPECT_EQ(parsed("/tasks/t-1:cancel", body)->task, "t-1") << body;
  }
  EXPECT_EQ(parsed("/tasks/t-1:cancel", "[]").error(), Error::kInvalid);
  EXPECT_EQ(parsed("/message:send", "").error(), Error::kInvalid);
  // A server that takes JSON-RPC at every path would do another thing than was ruled on.
  EXPECT_EQ(parsed("/message:send", R"({"jsonrpc":"2.0","method":"CancelTask","id":1,)"
                                    R"("message":{"parts":[]},"params":{"id":"t"}})")
                .error(),
            Error::kInvalid);
}

TEST(A2aError, IsToldInItsBinding) {
  const Error denied(Error::kDenied, "no \"rule\"");
  EXPECT_EQ(a2a_error_json(Binding::kJsonRpc, "\"a\"", {denied, "default-deny"}),
            R"({"jsonrpc":"2.0","id":"a","error":{"code":-32000,"message":"no \"rule\"","data":[)"
            R"({"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"denied",)"
            R"("domain":"gatehouse","metadata":{"rule":"default-deny"}}]}})");
  EXPECT_EQ(a2a_error_json(Binding::kHttpJson, "", {denied, ""}),
            R"({"error":{"code":403,"status":"PERMISSION_DENIED","message":"no \"rule\"",)"
            R"("details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"denied",)"
            R"("domain":"gatehouse","metadata":{"rule":""}}]},"code":-32000,)"
            R"("message":"no \"rule\""})");
}

}  // namespace
}  // namespace gatehouse::wire
