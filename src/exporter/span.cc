// SPDX-License-Identifier: Apache-2.0
#include "exporter/span.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "audit/root_span.h"
#include "exporter/names.h"
#include "wire/json.h"
#include "wire/trace.h"

namespace gatehouse::exporter {
namespace {

using audit::Entry;
using audit::Kind;

constexpr std::size_t kValueMost = 1024;  // bytes of a text
constexpr int kInternal = 1;              // SpanKind, and StatusCode below
constexpr int kClient = 3;
constexpr int kStatusUnset = 0;
constexpr int kStatusError = 2;
constexpr int kFirstError = 400;  // of HTTP's statuses

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (why != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class AttributeList {
 public:
  AttributeList() { out_.begin_array(); }
  void text(std::string_view key, std::string_view value) {
    begin(key).key("stringValue").string(value.substr(0, kValueMost));
    end();
  }
  void number(std::string_view key, std::int64_t value) {
    begin(key).key("intValue").string(std::to_string(value));
    end();
  }
  void truth(std::string_view key, bool value) {
    begin(key).key("boolValue").boolean(value);
    end();
  }
  void fraction(std::string_view key, double value) {
    begin(key).key("doubleValue").raw(fmt::format("{:.6f}", value));
    end();
  }
  void list(std::string_view key, std::string_view only) {
    begin(key).key("arrayValue").begin_object().key("values").begin_array();
    out_.begin_object().key("stringValue").string(only.substr(0, kValueMost)).end_object();
    out_.end_array().end_object();
    end();
  }
  // A value that is not of its form is left out.
  void tag(const Name& name, std::string_view value) {
    const auto as_number = number_in(value);
    switch (name.form) {
      case Form::kText:
        return text(name.attribute, value);
      case Form::kList:
        return list(name.attribute, value);
      case Form::kTruth:
        return truth(name.attribute, value == "true");
      case Form::kNumber:
        if (as_number) number(name.attribute, *as_number);
        return;
      case Form::kSeconds:
        if (as_number) fraction(name.attribute, static_cast<double>(*as_number) * 1e-6);
    }
  }
  [[nodiscard]] std::string json() && { return std::move(out_.end_array()).text(); }

 private:
  wire::JsonWriter& begin(std::string_view key) {
    return out_.begin_object().key("key").string(key).key("value").begin_object();
  }
  void end() { out_.end_object().end_object(); }
  wire::JsonWriter out_;
};

// What a span of that Entry is called, and whom it is of.
struct Face {
  std::string name;
  int kind = kClient;
};
std::string name_with(std::string_view first, std::string_view target) {
  return target.empty() ? std::string(first) : fmt::format("{} {}", first, target);
}
// By A2A: another agent is given something to do.
bool invokes_agent(const Entry& entry) {
  const auto operation = entry.tag("a2a.operation");
  return operation == "SendMessage" || operation == "SendStreamingMessage";
}
Face face_of(const Entry& entry) {
  if (entry.kind == Kind::kRunEnded)
    return {name_with(kInvokeAgent, entry.tag("agent")), kInternal};
  if (const auto operation = entry.tag("llm.operation"); !operation.empty()) {
    return {name_with(operation, entry.tag("llm.model"))};
  }
  if (const auto method = entry.tag("mcp.method"); !method.empty()) {
    return {name_with(method, entry.tag("tool"))};
  }
  if (invokes_agent(entry)) return {name_with(kInvokeAgent, entry.tag("service"))};
  if (const auto operation = entry.tag("a2a.operation"); !operation.empty()) {
    return {std::string(operation)};
  }
  const auto method = entry.tag("method");
  return {std::string(method.empty() ? std::string_view("HTTP") : method)};
}

// "" where nothing went wrong.
std::string error_type(const Entry& entry) {
  if (entry.kind == Kind::kRunEnded) return "";
  if (const auto error = entry.tag("error"); !error.empty()) return std::string(error);
  if (entry.kind != Kind::kSettled) return "denied";
  if (const auto state = entry.tag("state"); state != "done") return std::string(state);
  if (entry.tag("tool.is_error") == "true") return std::string(kToolError);
  const auto status = entry.tag("status");
  return number_in(status).value_or(0) >= kFirstError ? std::string(status) : "";
}

// "https://api.example.com:443", as the gateway has it.
void add_server(AttributeList& list, std::string_view upstream) {
  const std::size_t scheme = upstream.find("://");
  const std::size_t port = upstream.rfind(':');
  if (scheme == std::string_view::npos || port == std::string_view::npos || port <= scheme) return;
  list.text(attribute::kUrlScheme, upstream.substr(0, scheme));
  list.text(attribute::kServerAddress, upstream.substr(scheme + 3, port - scheme - 3));
  if (const auto number = number_in(upstream.substr(port + 1))) {
    list.number(attribute::kServerPort, *number);
  }
}

std::string attributes_of(const Entry& entry, const std::string& error) {
  AttributeList list;
  for (const Name& name : kNames) {
    if (name.attribute.empty()) continue;
    const auto value = entry.tag(name.tag);
    if (!value.empty()) list.tag(name, value);
  }
  if (entry.kind == Kind::kRunEnded || invokes_agent(entry)) {
    list.text(attribute::kOperation, kInvokeAgent);
  }
  if (!entry.tag("tool").empty()) list.text(attribute::kOperation, kExecuteTool);
  const auto short_lived = number_in(entry.tag("tokens.cache_write_5m"));
  const auto long_lived = number_in(entry.tag("tokens.cache_write_1h"));
  if (short_lived || long_lived) {
    list.number(attribute::kCacheWrite,
                static_cast<std::int64_t>(static_cast<std::uint64_t>(short_lived.value_or(0))
                                          + static_cast<std::uint64_t>(long_lived.value_or(0))));
  }
  const auto upstream = entry.tag("upstream");
  if (!upstream.empty()) add_server(list, upstream);
  if (upstream.empty() && !entry.tag("host").empty()) {
    list.text(attribute::kServerAddress, entry.tag("host"));
  }
  if (!error.empty()) list.text(attribute::kErrorType, error);
  if (entry.run) list.text(attribute::kRun, entry.run->text());
  if (entry.exchange) list.text(attribute::kExchange, entry.exchange->text());
  if (!entry.tenant.empty()) list.text(attribute::kTenant, entry.tenant);
  return std::move(list).json();
}

bool is_span(const Entry& entry) {
  if (entry.trace == TraceId{} || !entry.run) return false;
  return entry.kind == Kind::kSettled || entry.kind == Kind::kRefused
         || entry.kind == Kind::kRunEnded
         || (entry.kind == Kind::kAlarm && entry.tag("ruling") == "deny");
}

void add_parent(wire::JsonWriter& out, const Entry& entry) {
  if (entry.kind == Kind::kRunEnded) return;
  const auto named = entry.tag("parent");
  const bool is_named = named.size() == 2 * sizeof(SpanId::bytes);
  out.key("parentSpanId");
  out.string(is_named ? std::string(named) : audit::root_span_of(*entry.run).text());
}

void add_links(wire::JsonWriter& out, const Entry& entry) {
  const auto linked = wire::TraceParent::parse(entry.linked_trace);
  if (!linked) return;
  out.key("links").begin_array().begin_object();
  out.key("traceId").string(linked->trace.text());
  out.key("spanId").string(linked->parent.text());
  out.end_object().end_array();
}

}  // namespace

std::optional<std::string> span_of(const Entry& entry) {
  if (!is_span(entry)) return std::nullopt;
  const Face face = face_of(entry);
  const std::string error = error_type(entry);
  const std::int64_t took_us =
      std::clamp<std::int64_t>(number_in(entry.tag("duration_us")).value_or(0), 0,
                               std::max<std::int64_t>(entry.wall_ns, 0) / 1000);
  const bool is_run = entry.kind == Kind::kRunEnded;
  const bool has_own = !is_run && entry.span != SpanId{};
  // A refusal of what was no Exchange has no number of its own.
  const SpanId id =
      is_run ? audit::root_span_of(*entry.run) : (has_own ? entry.span : SpanId::fresh());
  wire::JsonWriter out;
  out.begin_object().key("traceId").string(entry.trace.text()).key("spanId").string(id.text());
  add_parent(out, entry);
  out.key("name").string(std::string_view(face.name).substr(0, kValueMost));
  out.key("kind").integer(face.kind);
  const std::int64_t end = std::max<std::int64_t>(entry.wall_ns, 0);
  out.key("startTimeUnixNano").string(std::to_string(end - took_us * 1000));
  out.key("endTimeUnixNano").string(std::to_string(end));
  out.key("attributes").raw(attributes_of(entry, error));
  add_links(out, entry);
  // Receivers take a status without a code for one that is set.
  out.key("status").begin_object();
  out.key("code").integer(error.empty() ? kStatusUnset : kStatusError);
  out.end_object().end_object();
  return std::move(out).text();
}

std::string export_request(const Attributes& resource, const std::vector<std::string>& spans) {
  AttributeList about;
  for (const auto& [key, value] : resource) about.text(key, value);
  wire::JsonWriter out;
  out.begin_object().key("resourceSpans").begin_array().begin_object();
  out.key("resource").begin_object().key("attributes").raw(std::move(about).json()).end_object();
  out.key("scopeSpans").begin_array().begin_object();
  out.key("scope").begin_object().key("name").string("gatehouse");
  out.key("version").string(GATEHOUSE_VERSION).end_object();
  out.key("spans").begin_array();
  for (const std::string& span : spans) out.raw(span);
  out.end_array().key("schemaUrl").string(kSchemaUrl).end_object().end_array();
  out.end_object().end_array().end_object();
  return std::move(out).text();
}

Taken parse_export_response(std::string_view body) {
  Taken taken;
  const auto whole = wire::scan_object(body);
  if (!whole) return taken;
  const wire::JsonValue* partial = whole->find("partialSuccess");
  const auto said = partial == nullptr || !partial->is(wire::JsonType::kObject)
                        ? Result<wire::JsonObject>(failure(Error::kNotFound, ""))
                        : wire::scan_object(partial->raw);
  if (!said) return taken;
  if (const wire::JsonValue* count = said->find("rejectedSpans")) {
    // 64-bit numbers come as strings, and are taken as numbers too.
    const auto text = count->string();
    taken.rejected = text ? number_in(*text).value_or(0) : count->integer().value_or(0);
  }
  taken.rejected = std::max<std::int64_t>(taken.rejected, 0);
  taken.why = said->string("errorMessage").value_or("").substr(0, kValueMost);
  return taken;
}

}  // namespace gatehouse::exporter
