// SPDX-License-Identifier: Apache-2.0
// What rules and transcripts need of the Agent2Agent protocol (A2A), versions 0.3 and 1.0: which
// operation a request asks for, by JSON-RPC or by HTTP and JSON, and what is said to the other
// agent. gRPC is not among it. Sources, all of github.com/a2aproject/A2A: docs/specification.md and
// specification/a2a.proto (1.0), specification/json/a2a.json of 0.3.0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {

enum class A2aVersion : std::uint8_t { k03, k10 };
[[nodiscard]] std::string_view name_of(A2aVersion version);

// What comes in an `A2A-Version` field, or in a parameter of that name in the query ("" or with its
// '?'); without either it is 0.3 (specification.md, section 3.6). Errors: kUnsupported; kInvalid
// where the two differ.
[[nodiscard]] Result<A2aVersion> a2a_version(std::string_view field, std::string_view query = "");

enum class A2aOperation : std::uint8_t {
  kOther,  // a method that is not the protocol's own: an extension's
  kGetAgentCard,
  kGetExtendedAgentCard,
  kSendMessage,
  kSendStreamingMessage,
  kGetTask,
  kListTasks,
  kCancelTask,
  kSubscribeToTask,
  kCreateTaskPushNotificationConfig,
  kGetTaskPushNotificationConfig,
  kListTaskPushNotificationConfigs,
  kDeleteTaskPushNotificationConfig,
};
// As 1.0 calls it, whatever version it comes in: what rules name. "" for another.
[[nodiscard]] std::string_view name_of(A2aOperation operation);
// Whether that method, of any version, is one of the protocol's; and which.
[[nodiscard]] A2aOperation a2a_operation(std::string_view method);
// Whether it may change something at the other agent; what is not known may.
[[nodiscard]] bool changes_something(A2aOperation operation);
// Whether its answer is an agent's card.
[[nodiscard]] bool answers_with_card(A2aOperation operation);

struct A2aEndpoint {
  enum class Binding : std::uint8_t {
    kNone,  // nothing of A2A's that is relayed, or spelled as only a lenient server would take it
    kJsonRpc,
    kHttpJson,
  };
  Binding binding = Binding::kNone;
  A2aOperation operation = A2aOperation::kOther;  // by HTTP+JSON the path says it
  std::string task;                               // that the path names
};

// `path` is canonical (path.h): what is looked at is what is sent. HTTP+JSON's paths are found
// behind any base path; a POST to any other path is JSON-RPC's.
[[nodiscard]] A2aEndpoint a2a_endpoint(std::string_view method, std::string_view path,
                                       std::string_view content_type);

struct A2aCall {
  A2aEndpoint::Binding binding = A2aEndpoint::Binding::kJsonRpc;
  A2aVersion version = A2aVersion::k03;
  A2aOperation operation = A2aOperation::kOther;
  std::string method;   // JSON-RPC's, as it stood
  std::string id;       // JSON-RPC's, as it stood; "" for none
  std::string task;     // that it is about, or goes on with
  std::string context;  // the conversation that it belongs to
  std::string text;     // the text that is said, a line for each part
  // The other agent is to send what becomes of a task to an address: a way out past the gateway.
  bool gives_webhook = false;
  std::string webhook;  // that address, where it is found

  // `body` is that of the request, "" for none. Errors: kInvalid for what is no JSON, has a key
  // twice (also where a lenient reader would take two for one), lacks what it cannot be without, or
  // is of the other binding; kUnsupported for a batch or another version.
  [[nodiscard]] static Result<A2aCall> parse(const A2aEndpoint& endpoint, A2aVersion version,
                                             std::string_view body);

  // What a rule has to name: the operation; an extension's method as it stands.
  [[nodiscard]] std::string_view name() const {
    return operation == A2aOperation::kOther ? std::string_view(method) : name_of(operation);
  }
};

// An error of ours, told by a binding: the whole body of an answer, or what an event of a stream
// has as its data. By HTTP+JSON, clients of both versions find in it what they look for.
struct A2aError {
  Error error;
  std::string_view rule;  // what refused it; "" for none
};
[[nodiscard]] std::string a2a_error_json(A2aEndpoint::Binding binding, std::string_view id,
                                         const A2aError& error);

}  // namespace gatehouse::wire
