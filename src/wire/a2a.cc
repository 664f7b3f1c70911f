// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/encoding.h"
#include "wire/a2a_json.h"
#include "wire/characters.h"
#include "wire/google_status.h"
#include "wire/jsonrpc.h"
#include "wire/path.h"

namespace gatehouse::wire {
namespace {

using Binding = A2aEndpoint::Binding;
using Op = A2aOperation;

struct OperationRow {
  Op operation;
  std::string_view name;    // of 1.0
  std::string_view method;  // of 0.3's JSON-RPC; "" where it has none
  bool changes;
};

constexpr std::array kOperations = {
    OperationRow{Op::kGetAgentCard, "GetAgentCard", "", false},
    OperationRow{Op::kGetExtendedAgentCard, "GetExtendedAgentCard",
                 "agent/getAuthenticatedExtendedCard", false},
    OperationRow{Op::kSendMessage, "SendMessage", "message/send", true},
    OperationRow{Op::kSendStreamingMessage, "SendStreamingMessage", "message/stream", true},
    OperationRow{Op::kGetTask, "GetTask", "tasks/get", false},
    OperationRow{Op::kListTasks, "ListTasks", "", false},
    OperationRow{Op::kCancelTask, "CancelTask", "tasks/cancel", true},
    OperationRow{Op::kSubscribeToTask, "SubscribeToTask", "tasks/resubscribe", false},
    OperationRow{Op::kCreateTaskPushNotificationConfig, "CreateTaskPushNotificationConfig",
                 "tasks/pushNotificationConfig/set", true},
    OperationRow{Op::kGetTaskPushNotificationConfig, "GetTaskPushNotificationConfig",
                 "tasks/pushNotificationConfig/get", false},
    OperationRow{Op::kListTaskPushNotificationConfigs, "ListTaskPushNotificationConfigs",
                 "tasks/pushNotificationConfig/list", false},
    OperationRow{Op::kDeleteTaskPushNotificationConfig, "DeleteTaskPushNotificationConfig",
                 "tasks/pushNotificationConfig/delete", true},
};

// HTTP+JSON's paths, from their last segments: `*` is one, `*:verb` one that ends in that verb. 0.3
// has them below /v1, 1.0 below a tenant or nothing.
struct PathRow {
  std::string_view method;
  std::array<std::string_view, 4> segments;  // "" behind the last
  Op operation;
};

constexpr std::array kPaths = {
    PathRow{"GET", {".well-known", "agent-card.json"}, Op::kGetAgentCard},
    PathRow{"GET", {".well-known", "agent.json"}, Op::kGetAgentCard},
    PathRow{"GET", {"extendedAgentCard"}, Op::kGetExtendedAgentCard},
    PathRow{"GET", {"v1", "card"}, Op::kGetExtendedAgentCard},
    PathRow{"POST", {"message:send"}, Op::kSendMessage},
    PathRow{"POST", {"message:stream"}, Op::kSendStreamingMessage},
    PathRow{"GET", {"tasks"}, Op::kListTasks},
    PathRow{"GET", {"tasks", "*"}, Op::kGetTask},
    PathRow{"POST", {"tasks", "*:cancel"}, Op::kCancelTask},
    PathRow{"GET", {"tasks", "*:subscribe"}, Op::kSubscribeToTask},
    PathRow{"POST", {"tasks", "*:subscribe"}, Op::kSubscribeToTask},
    PathRow{
        "POST", {"tasks", "*", "pushNotificationConfigs"}, Op::kCreateTaskPushNotificationConfig},
    PathRow{"GET", {"tasks", "*", "pushNotificationConfigs"}, Op::kListTaskPushNotificationConfigs},
    PathRow{
        "GET", {"tasks", "*", "pushNotificationConfigs", "*"}, Op::kGetTaskPushNotificationConfig},
    PathRow{"DELETE",
            {"tasks", "*", "pushNotificationConfigs", "*"},
            Op::kDeleteTaskPushNotificationConfig},
};

using Segments = std::span<const std::string>;

// What `*` of a pattern stands for; nothing when it does not match.
std::optional<std::string> matched(std::string_view pattern, std::string_view segment, bool folds) {
  if (!pattern.starts_with('*')) {
    const bool same = folds ? equal_ignoring_case(pattern, segment) : pattern == segment;
    return same ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view verb = pattern.substr(1);
  if (!segment.ends_with(verb)) return std::nullopt;
  segment.remove_suffix(verb.size());
  // What an identifier with a colon would be, servers could disagree on.
  if (segment.empty() || segment.contains(':')) return std::nullopt;
  return std::string(segment);
}

std::optional<A2aEndpoint> found(std::string_view method, Segments segments, bool folds) {
  for (const PathRow& row : kPaths) {
    if (row.method != method) continue;
    const auto* const end = std::ranges::find(row.segments, "");
    const auto size = static_cast<std::size_t>(end - row.segments.begin());
    if (segments.size() < size) continue;
    const Segments last = segments.last(size);
    A2aEndpoint endpoint{Binding::kHttpJson, row.operation, ""};
    bool matches = true;
    for (std::size_t i = 0; i < size && matches; ++i) {
      const auto id = matched(row.segments.at(i), last[i], folds);
      matches = id.has_value();
      if (matches && endpoint.task.empty()) endpoint.task = *id;
    }
    if (matches) return endpoint;
  }
  return std::nullopt;
}

bool is_json(std::string_view content_type) {
  const std::string type = lowered(
      trimmed(content_type.substr(0, std::min(content_type.find(';'), content_type.size()))));
  return type.empty() || type == "application/json"
         || (type.starts_with("application/") && type.ends_with("+json")
             && !type.starts_with("application/grpc"));
}

Failure bad(std::string_view what) { return failure(Error::kInvalid, "A2A: " + std::string(what)); }

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// An object in which nobody could take one key for another.
Result<JsonObject> governed(std::string_view text) {
  JsonObject object = TRY(scan_object(text, Duplicates::kRejectEverywhere));
  std::vector<std::string> keys;
  for (const JsonMember& member : object.members) {
    if (!is_ascii(member.key)) return bad("a key that is not ASCII, where rules look");
    keys.push_back(folded_key(member.key));
  }
  std::ranges::sort(keys);
  if (std::ranges::adjacent_find(keys) != keys.end()) {
    return bad("two keys that differ only in case or underscores, where rules look");
  }
  return object;
}

std::string string_of(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = find_folded(object, key);
  return value == nullptr ? "" : value->string().value_or("");
}

bool is_about_push(std::string_view key) { return folded_key(key).contains("pushnotification"); }

// Of a configuration, or of the members that set one.
std::string url_of(const JsonValue& value) {
  if (!value.is(JsonType::kObject)) return "";
  const auto object = scan_object(value.raw);
  if (!object) return "";
  if (std::string url = string_of(*object, "url"); !url.empty()) return url;
  for (const JsonMember& member : object->members) {
    if (!member.value.is(JsonType::kObject)) continue;
    const auto inner = scan_object(member.value.raw);
    if (!inner) continue;
    if (std::string url = string_of(*inner, "url"); !url.empty()) return url;
  }
  return "";
}

// What says where task updates are to be sent: `pushNotificationConfig` in 0.3,
// `taskPushNotificationConfig` in 1.0, `pushNotification` in 0.3's HTTP+JSON, each also as protobuf
// spells it.
Result<void> read_configuration(const JsonValue& value, A2aCall& call) {
  if (value.is(JsonType::kNull)) return {};
  if (!value.is(JsonType::kObject)) return bad("the configuration is not an object");
  for (const JsonMember& member : TRY(governed(value.raw)).members) {
    if (!is_about_push(member.key) || member.value.is(JsonType::kNull)) continue;
    call.gives_webhook = true;
    if (call.webhook.empty()) call.webhook = url_of(member.value);
  }
  return {};
}

Result<void> read_message(const JsonObject& params, A2aCall& call) {
  // `request` is what 0.3's protobuf calls it.
  const JsonValue* message = find_folded(params, "message");
  if (message == nullptr) message = find_folded(params, "request");
  if (message == nullptr || !message->is(JsonType::kObject)) return bad("there is no message");
  const JsonObject object = TRY(scan_object(message->raw));
  call.task = string_of(object, "taskId");
  call.context = string_of(object, "contextId");
  append_parts(call.text, object);
  if (const JsonValue* const configuration = find_folded(params, "configuration")) {
    TRY(read_configuration(*configuration, call));
  }
  return {};
}

// The members that an operation is asked with.
Result<void> read_params(const JsonValue& params, A2aCall& call) {
  if (!params.is(JsonType::kObject)) return bad("the parameters are not an object");
  const JsonObject object = TRY(governed(params.raw));
  switch (call.operation) {
    case Op::kSendMessage:
    case Op::kSendStreamingMessage:
      return read_message(object, call);
    case Op::kCreateTaskPushNotificationConfig:
      call.gives_webhook = true;
      call.webhook = url_of(params);
      break;
    default:
      break;
  }
  if (call.binding == Binding::kHttpJson) return {};  // the path names the task
  call.context = string_of(object, "contextId");
  call.task = string_of(object, "taskId");
  if (call.task.empty() && call.operation != Op::kOther) call.task = string_of(object, "id");
  return {};
}

Result<void> read_json_rpc(std::string_view body, A2aCall& call) {
  const auto message = TRY(JsonRpcMessage::parse(body));
  TRY(governed(body));
  if (message.kind == JsonRpcMessage::Kind::kResponse) return bad("this is no request");
  call.method = message.method;
  call.id = message.id;
  call.operation = a2a_operation(message.method);
  if (call.operation == Op::kGetAgentCard) return bad("the card is no method: it has a place");
  if (call.operation != Op::kOther) {
    call.version = call.method.contains('/') ? A2aVersion::k03 : A2aVersion::k10;
  }
  if (message.params) return read_params(*message.params, call);
  const bool needs_none = call.operation == Op::kGetExtendedAgentCard
                          || call.operation == Op::kListTasks || call.operation == Op::kOther;
  if (!needs_none) return bad("the request has no parameters");
  return {};
}

Result<void> read_http_json(std::string_view body, A2aCall& call) {
  const bool says = call.operation == Op::kSendMessage
                    || call.operation == Op::kSendStreamingMessage
                    || call.operation == Op::kCreateTaskPushNotificationConfig;
  if (!says && trimmed(body).empty()) return {};
  const JsonValue value = TRY(scan_value(body, Duplicates::kRejectEverywhere));
  if (!says && value.is(JsonType::kNull)) return {};  // as some clients send an empty body
  TRY(read_params(value, call));
  if (find_folded(TRY(scan_object(value.raw)), "jsonrpc") != nullptr) {
    return bad("JSON-RPC at a path of HTTP+JSON");
  }
  return {};
}

// The parameter of the query; "" for none.
std::string version_in(std::string_view query) {
  while (!query.empty()) {
    query.remove_prefix(1);  // '?' or '&'
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(pair.size());
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto key = percent_decoded(pair.substr(0, equals));
    if (!key || !equal_ignoring_case(*key, "A2A-Version") || equals == pair.size()) continue;
    return percent_decoded(pair.substr(equals + 1)).value_or("?");
  }
  return "";
}

Result<A2aVersion> version_named(std::string_view field) {
  field = trimmed(field);
  const auto is = [field](std::string_view version) {
    return field == version
           || (field.starts_with(version) && field.substr(version.size()).starts_with('.'));
  };
  if (field.empty() || is("0.3")) return A2aVersion::k03;
  if (is("1")) return A2aVersion::k10;
  return failure(Error::kUnsupported, "A2A: version \"" + printable(field.substr(0, 32))
                                          + "\" is not known here; 0.3 and 1.0 are");
}

// JSON-RPC's codes where they say it; -32004 and -32006 are A2A's (specification.md, section 5.4).
// It leaves -32000 to who implements it.
int code_of(const Error& error) {
  switch (error.code()) {
    case Error::kInvalid:
      return -32600;
    case Error::kUnsupported:
      return -32004;
    case Error::kUpstream:
      return -32006;
    case Error::kInternal:
      return -32603;
    default:
      return -32000;
  }
}

}  // namespace

std::string_view name_of(A2aVersion version) { return version == A2aVersion::k03 ? "0.3" : "1.0"; }

Result<A2aVersion> a2a_version(std::string_view field, std::string_view query) {
  const std::string asked = version_in(query);
  const A2aVersion by_query = TRY(version_named(asked));
  if (trimmed(field).empty()) return by_query;
  const A2aVersion by_field = TRY(version_named(field));
  if (!asked.empty() && by_query != by_field)
    return bad("the query and the field name two versions");
  return by_field;
}

std::string_view name_of(A2aOperation operation) {
  const auto* const row = std::ranges::find(kOperations, operation, &OperationRow::operation);
  return row == kOperations.end() ? std::string_view() : row->name;
}

A2aOperation a2a_operation(std::string_view method) {
  const auto* const row = std::ranges::find_if(kOperations, [&](const OperationRow& each) {
    return each.name == method || (!each.method.empty() && each.method == method);
  });
  return row == kOperations.end() ? Op::kOther : row->operation;
}

bool changes_something(A2aOperation operation) {
  const auto* const row = std::ranges::find(kOperations, operation, &OperationRow::operation);
  return row == kOperations.end() || row->changes;
}

bool answers_with_card(A2aOperation operation) {
  return operation == Op::kGetAgentCard || operation == Op::kGetExtendedAgentCard;
}

A2aEndpoint a2a_endpoint(std::string_view method, std::string_view path,
                         std::string_view content_type) {
  if (method == "POST" && !is_json(content_type)) return {};
  const auto segments = segments_of(path);
  if (auto endpoint = found(method, segments, false)) return *std::move(endpoint);
  if (method != "POST" || found(method, lenient_segments(segments), true)) return {};
  return {Binding::kJsonRpc, Op::kOther, ""};
}

Result<A2aCall> A2aCall::parse(const A2aEndpoint& endpoint, A2aVersion version,
                               std::string_view body) {
  A2aCall call;
  call.binding = endpoint.binding;
  call.version = version;
  call.operation = endpoint.operation;
  call.task = endpoint.task;
  if (endpoint.binding == Binding::kNone) return bad("this is none of its requests");
  TRY(endpoint.binding == Binding::kJsonRpc ? read_json_rpc(body, call)
                                            : read_http_json(body, call));
  return call;
}

std::string a2a_error_json(A2aEndpoint::Binding binding, std::string_view id,
                           const A2aError& error) {
  const ErrorRow& row = row_of(error.error.code());
  const std::string message = json_quoted(error.error.message());
  // https://cloud.google.com/apis/design/errors: google.rpc.ErrorInfo.
  const std::string info =
      fmt::format(R"([{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{}",)"
                  R"("domain":"gatehouse","metadata":{{"rule":{}}}}}])",
                  row.label, json_quoted(error.rule));
  if (binding == Binding::kJsonRpc) {
    return fmt::format(
        R"({{"jsonrpc":"2.0","id":{},"error":{{"code":{},"message":{},"data":{}}}}})",
        id.empty() ? "null" : id, code_of(error.error), message, info);
  }
  return fmt::format(R"({{"error":{{"code":{},"status":"{}","message":{},"details":{}}},)"
                     R"("code":{},"message":{}}})",
                     row.http_status, google_status(row.http_status), message, info,
                     code_of(error.error), message);
}

}  // namespace gatehouse::wire
