// SPDX-License-Identifier: Apache-2.0
// The OpenAPI document, out of the routes.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "control/routes.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

using wire::JsonWriter;

struct Schema {
  Kind kind;
  std::string_view json;  // of the spec
};

constexpr std::string_view kText = R"({"type":"string"})";

// What a spec of each kind may hold; docs/configuration.md says what it means. A test holds these
// against what is really read.
constexpr Schema kSpecs[] = {
    {Kind::kTenant, R"({"title":{"type":"string","maxLength":256}})"},
    {Kind::kUser, R"({"login":{"type":"object","additionalProperties":false,)"
                  R"("required":["issuer","subject"],)"
                  R"("properties":{"issuer":{"type":"string"},"subject":{"type":"string"}}}})"},
    {Kind::kGroup, R"({"members":{"type":"array","items":{"type":"string"}},)"
                   R"("issuer":{"type":"string"},"claim":{"type":"string"}})"},
    {Kind::kAccount, R"({"issuer":{"type":"string"},"audience":{"type":"string"},)"
                     R"("subject":{"type":"string"},)"
                     R"("runs_for":{"type":"array","items":{"type":"string"}}})"},
    {Kind::kIssuer, R"({"url":{"type":"string","format":"uri"},"client_id":{"type":"string"},)"
                    R"("scopes":{"type":"array","items":{"type":"string"}},)"
                    R"("groups_claim":{"type":"string"},"ca":{"type":"string"},)"
                    R"("allow_private":{"type":"boolean"}})"},
    {Kind::kBinding,
     R"({"role":{"enum":["owner","security","approver","auditor","developer"]},)"
     R"("user":{"type":"string"},"group":{"type":"string"},"account":{"type":"string"}})"},
    {Kind::kService,
     R"({"kind":{"enum":["http","openai","mcp","anthropic","gemini","bedrock",)"
     R"("azure-openai","a2a"]},)"
     R"("url":{"type":"string","format":"uri"},)"
     R"("upstream":{"type":"string","format":"uri"},"upstream_ca":{"type":"string"},)"
     R"("allow_private":{"type":"boolean"},"credential":{"type":"object"},)"
     R"("scope":{"enum":["user","tenant"]},)"
     R"("intent":{"type":"array","items":{"type":"string"}},)"
     R"("include_usage":{"type":"boolean"},"on_disconnect":{"enum":["cancel","drain"]},)"
     R"("timeouts":{"type":"object","additionalProperties":false,"properties":)"
     R"({"connect":{"type":"integer"},"first_byte":{"type":"integer"},"idle":{"type":"integer"},)"
     R"("total":{"type":"integer"}}},"concurrency":{"type":"integer"},)"
     R"("http2":{"type":"boolean"},"spiffe_id":{"type":"string"},)"
     R"("client_certificate":{"type":"object"},)"
     R"("models":{"type":"array","items":{"type":"object","additionalProperties":false,)"
     R"("required":["name","targets"],"properties":{"name":{"type":"string"},)"
     R"("spread":{"enum":["run","exchange"]},"retries":{"type":"integer"},)"
     R"("retry_percent":{"type":"integer"},"targets":{"type":"array","items":)"
     R"({"type":"object","additionalProperties":false,"required":["service","model"],)"
     R"("properties":{"service":{"type":"string"},"model":{"type":"string"},)"
     R"("tier":{"type":"integer"},"weight":{"type":"integer"},)"
     R"("prefix":{"type":"string"}}}}}}}})"},
    {Kind::kAgent,
     R"({"command":{"type":"array","items":{"type":"string"}},"volume":{"type":"string"},)"
     R"("skeleton":{"type":"string"},"toolbox":{"type":"array","items":{"type":"string"}},)"
     R"("environment":{"type":"object","additionalProperties":{"type":"string"}},)"
     R"("read_only":{"type":"array","items":{"type":"string"}},)"
     R"("memory":{"type":["integer","string"]},"pids":{"type":"integer"},)"
     R"("leases_per_second":{"type":"integer"}})"},
    {Kind::kRule, R"({"service":{"type":"string"},)"
                  R"("hosts":{"type":"array","items":{"type":"string"}},)"
                  R"("methods":{"type":"array","items":{"type":"string"}},)"
                  R"("paths":{"type":"array","items":{"type":"string"}},)"
                  R"("tools":{"type":"array","items":{"type":"string"}},)"
                  R"("provider_tools":{"type":"array","items":{"type":"string"}},)"
                  R"("operations":{"type":"array","items":{"type":"string"}},)"
                  R"("models":{"type":"array","items":{"type":"string"}}})"},
};

std::string capital(std::string_view word) {
  std::string out(word);
  out.front() = static_cast<char>(out.front() - 'a' + 'A');
  return out;
}

std::string reference(std::string_view schema) {
  return fmt::format(R"({{"$ref":"#/components/schemas/{}"}})", schema);
}

// "createUser"
std::string operation_of(const Route& route) {
  static const std::map<Action, std::string_view> kNames = {
      {Action::kDocument, "getDocument"},
      {Action::kWhoAmI, "whoAmI"},
      {Action::kIssuers, "listLogins"},
      {Action::kSignIn, "signIn"},
      {Action::kSignOut, "signOut"},
      {Action::kListRuns, "listRuns"},
      {Action::kShowRun, "showRun"},
      {Action::kTranscript, "readTranscript"},
      {Action::kKill, "killRun"},
      {Action::kRevive, "reviveRun"},
      {Action::kListActs, "listActs"},
      {Action::kAttach, "attach"},
      {Action::kRenewToken, "renewToken"},
      {Action::kDetach, "detach"},
      {Action::kList, "list"},
      {Action::kCreate, "create"},
      {Action::kShow, "show"},
      {Action::kSet, "set"},
      {Action::kRemove, "remove"},
      {Action::kEndSessions, "signOut"},
  };
  const std::string_view name = kNames.at(route.action);
  if (!route.kind) return std::string(name);
  const bool many = route.action == Action::kList;
  return std::string(name) + capital(many ? plural(*route.kind) : text(*route.kind));
}

void write_parameter(JsonWriter& out, std::string_view name, std::string_view in, bool required,
                     std::string_view schema) {
  out.begin_object();
  out.key("name").string(name).key("in").string(in).key("required").boolean(required);
  out.key("schema").raw(schema);
  out.end_object();
}

void write_parameters(JsonWriter& out, const Route& route) {
  out.key("parameters").begin_array();
  std::string_view path = route.path;
  for (std::size_t at = path.find('{'); at != std::string_view::npos; at = path.find('{', at + 1)) {
    const std::size_t end = path.find('}', at);
    write_parameter(out, path.substr(at + 1, end - at - 1), "path", true, kText);
  }
  for (const std::string_view name : route.query) {
    std::string_view schema = kText;
    if (name == "limit") schema = R"({"type":"integer","minimum":1,"maximum":500,"default":100})";
    if (name == "form") schema = R"({"enum":["json","text","full"],"default":"json"})";
    write_parameter(out, name, "query", false, schema);
  }
  const bool gives_token = route.action == Action::kSignIn || route.action == Action::kAttach
                           || route.action == Action::kRenewToken
                           || route.action == Action::kDetach;
  if (route.method == "POST" && !gives_token) {
    write_parameter(out, "Idempotency-Key", "header", false,
                    R"({"type":"string","maxLength":128})");
  }
  if (route.kind && (route.method == "PUT" || route.method == "DELETE")) {
    write_parameter(out, "If-Match", "header", route.method == "PUT", kText);
  }
  out.end_array();
}

void write_body(JsonWriter& out, const Route& route) {
  std::string schema;
  if (route.action == Action::kCreate) schema = reference("New" + capital(text(*route.kind)));
  if (route.action == Action::kSet) schema = reference("Changed" + capital(text(*route.kind)));
  if (route.action == Action::kKill) {
    schema = R"({"type":"object","additionalProperties":false,"properties":)"
             R"({"reason":{"type":"string"},"destroy":{"type":"boolean","default":false}}})";
  }
  if (route.action == Action::kSignIn) {
    schema = R"({"type":"object","additionalProperties":false,"required":["tenant","token"],)"
             R"("properties":{"tenant":{"type":"string"},"token":{"type":"string"},)"
             R"("nonce":{"type":"string"}}})";
  }
  if (route.action == Action::kAttach) {
    schema = R"({"type":"object","additionalProperties":false,"required":["agent","cnf"],)"
             R"("properties":{"agent":{"type":"string"},"user":{"type":"string"},)"
             R"("environment":{"type":"array","items":{"type":"string"}},)"
             R"("cnf":{"type":"object","additionalProperties":false,"required":["x5t#S256"],)"
             R"("properties":{"x5t#S256":{"type":"string","minLength":43,"maxLength":43}}}}})";
  }
  if (route.action == Action::kDetach) {
    schema = R"({"type":"object","additionalProperties":false,"properties":)"
             R"({"exit_status":{"type":"integer","minimum":0,"maximum":255,"default":0}}})";
  }
  if (schema.empty()) return;
  out.key("requestBody").begin_object();
  out.key("required").boolean(route.action != Action::kKill);
  out.key("content").begin_object().key("application/json").begin_object();
  out.key("schema").raw(schema);
  out.end_object().end_object().end_object();
}

constexpr std::string_view kRunToken =
    R"({"type":"object","required":["access_token","token_type","expires_in","gateway"],)"
    R"("properties":{"run":{"type":"string"},"trace_id":{"type":"string"},)"
    R"("access_token":{"type":"string"},"token_type":{"const":"Bearer"},)"
    R"("expires_in":{"type":"integer"},"gateway":{"type":"object","properties":)"
    R"({"address":{"type":"string"},"certificate":{"type":"string"}}},)"
    R"("ca":{"type":"string"},"environment":{"type":"array","items":{"type":"string"}}}})";

// Of a kill and a revival. A sandbox that nothing on that host can freeze is ended by a kill.
constexpr std::string_view kStopped =
    R"({"type":"object","required":["run","sandboxes","ended"],"properties":)"
    R"({"run":{"type":"string"},"sandboxes":{"type":"integer","minimum":0,)"
    R"("description":"Sandboxes that were frozen, ended or thawed"},)"
    R"("ended":{"type":"integer","minimum":0,)"
    R"("description":"Of these, those that nothing there can freeze: they were ended"}}})";

void write_responses(JsonWriter& out, const Route& route) {
  out.key("responses").begin_object();
  const bool is_made = route.action == Action::kCreate || route.action == Action::kSignIn
                       || route.action == Action::kAttach;
  const bool is_gone = route.action == Action::kRemove || route.action == Action::kSignOut
                       || route.action == Action::kDetach;
  out.key(is_made ? "201" : is_gone ? "204" : "200").begin_object();
  out.key("description").string(is_gone ? "It is gone" : "As asked");
  if (!is_gone) {
    std::string schema = R"({"type":"object"})";
    if (route.action == Action::kAttach || route.action == Action::kRenewToken) {
      schema = kRunToken;
    }
    if (route.action == Action::kKill || route.action == Action::kRevive) schema = kStopped;
    if (route.kind && route.action != Action::kEndSessions) {
      const std::string object = reference(capital(text(*route.kind)));
      schema = route.action == Action::kList
                   ? fmt::format(R"({{"type":"object","required":["items"],"properties":{{"items":)"
                                 R"({{"type":"array","items":{}}},"next_page_token":)"
                                 R"({{"type":"string"}}}}}})",
                                 object)
                   : object;
    }
    out.key("content").begin_object().key("application/json").begin_object();
    out.key("schema").raw(schema);
    out.end_object().end_object();
  }
  out.end_object();
  out.key("default").begin_object();
  out.key("description").string("What is wrong (RFC 9457)");
  out.key("content").begin_object().key("application/problem+json").begin_object();
  out.key("schema").raw(reference("Problem"));
  out.end_object().end_object().end_object();
  out.end_object();
}

void write_operation(JsonWriter& out, const Route& route) {
  std::string method(route.method);
  std::transform(method.begin(), method.end(), method.begin(),
                 [](char c) { return static_cast<char>(c - 'A' + 'a'); });
  out.key(method).begin_object();
  out.key("operationId").string(operation_of(route));
  std::string summary(route.summary);
  if (route.kind) {
    const bool many = route.action == Action::kList;
    summary += fmt::format(" {}", many ? plural(*route.kind) : text(*route.kind));
  }
  out.key("summary").string(summary);
  out.key("x-gatehouse-right").string(text(route.right));
  write_parameters(out, route);
  write_body(out, route);
  write_responses(out, route);
  if (route.right == Right::kAnyone) out.key("security").begin_array().end_array();
  out.end_object();
}

void write_schemas(JsonWriter& out) {
  out.key("schemas").begin_object();
  for (const Schema& schema : kSpecs) {
    const std::string name = capital(text(schema.kind));
    const bool is_rule = schema.kind == Kind::kRule;
    const bool is_named = schema.kind != Kind::kBinding;
    out.key(name + "Spec")
        .raw(fmt::format(R"({{"type":"object","additionalProperties":false,"properties":{}}})",
                         schema.json));
    const std::string spec = reference(name + "Spec");
    out.key("New" + name)
        .raw(fmt::format(R"({{"type":"object","additionalProperties":false,"required":[{}"spec"],)"
                         R"("properties":{{{}"spec":{}}}}})",
                         is_named ? R"("name",)" : "",
                         is_named ? R"("name":{"type":"string","maxLength":63},)" : "", spec));
    if (is_named) {
      out.key("Changed" + name)
          .raw(fmt::format(R"({{"type":"object","additionalProperties":false,"required":["spec"],)"
                           R"("properties":{{"name":{{"type":"string"}},"spec":{}}}}})",
                           spec));
    }
    out.key(name).raw(fmt::format(
        R"({{"type":"object","properties":{{"kind":{{"const":"{}"}},"tenant":{{"type":"string"}},)"
        R"({}"name":{{"type":"string"}},"from":{{"enum":["file","api"]}},)"
        R"("version":{{"type":"integer"}},"spec":{}}}}})",
        text(schema.kind), is_rule ? R"("agent":{"type":"string"},)" : "", spec));
  }
  out.key("Problem").raw(
      R"({"type":"object","properties":{"type":{"type":"string"},"title":{"type":"string"},)"
      R"("status":{"type":"integer"},"detail":{"type":"string"}}})");
  out.end_object();
}

// A line a member, as people read it. `json` has no space outside of strings.
std::string indented(std::string_view json) {
  std::string out;
  std::size_t depth = 0;
  bool in_string = false;
  const auto new_line = [&] { out += "\n" + std::string(depth * 2, ' '); };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out += c;
      if (c == '\\') out += json[++i];
      in_string = c != '"';
      continue;
    }
    const bool is_empty = i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']');
    if (c == '}' || c == ']') {
      --depth;
      if (out.back() != '{' && out.back() != '[') new_line();
    }
    out += c;
    in_string = c == '"';
    if (c == ':') out += ' ';
    if (c == ',') new_line();
    if (c == '{' || c == '[') {
      ++depth;
      if (!is_empty) new_line();
    }
  }
  return out + "\n";
}

std::string make_document() {
  JsonWriter out;
  out.begin_object();
  out.key("openapi").string("3.1.0");
  out.key("info").begin_object();
  out.key("title").string("Gatehouse admin API").key("version").string("1");
  out.key("license").raw(R"({"name":"Apache-2.0","identifier":"Apache-2.0"})");
  out.end_object();
  out.key("security").raw(R"([{"session":[]}])");
  out.key("paths").begin_object();
  std::set<std::string> done;
  for (const Route& route : routes()) {
    if (!done.insert(route.path).second) continue;
    out.key(route.path).begin_object();
    for (const Route& same : routes()) {
      if (same.path == route.path) write_operation(out, same);
    }
    out.end_object();
  }
  out.end_object();
  out.key("components").begin_object();
  out.key("securitySchemes").raw(R"({"session":{"type":"http","scheme":"bearer"}})");
  write_schemas(out);
  out.end_object();
  out.end_object();
  return indented(out.text());
}

}  // namespace

const std::string& openapi_document() {
  static const std::string kDocument = make_document();
  return kDocument;
}

}  // namespace gatehouse::control
