// SPDX-License-Identifier: Apache-2.0
// `gatehouse tenant|user|group|... create|list|show|set|rm`, by the admin API.
#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "base/random.h"
#include "cli/api.h"
#include "cli/verbs.h"

namespace gatehouse::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kSpecMost = 256 * 1024;  // bytes

Result<json::value> parsed(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return failure(Error::kUpstream, "the gatehouse answered something else than JSON");
  return value;
}

// Where objects of this kind are.
Result<std::string> collection(const Api& api, const Options& options) {
  if (options.kind == "tenant") return "/v1/tenants";
  const std::string tenant = TRY(api.tenant(options));
  if (options.kind != "rule") return fmt::format("/v1/tenants/{}/{}s", tenant, options.kind);
  if (options.agent.empty()) {
    return failure(Error::kInvalid, "a rule is of an agent; say which with --agent");
  }
  return fmt::format("/v1/tenants/{}/agents/{}/rules", tenant, percent_encoded(options.agent));
}

Result<std::string> item(const Api& api, const Options& options) {
  return fmt::format("{}/{}", TRY(collection(api, options)), percent_encoded(options.name));
}

Result<std::string> file_text(const std::string& path) {
  std::string text;
  if (path == "-") {
    std::array<char, 4096> bytes{};
    std::size_t got = 0;
    do {
      got = std::fread(bytes.data(), 1, bytes.size(), stdin);
      text.append(bytes.data(), got);
    } while (got > 0 && text.size() <= kSpecMost);
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return failure_from_errno(errno, "reading " + path);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (text.size() > kSpecMost) return failure(Error::kTooLarge, path + " is too long for a spec");
  return text;
}

// `login.subject=ada`: what is JSON is taken as that, all else is a string; nothing removes the
// key.
Result<void> assign(json::object& spec, const std::string& setting) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    return failure(Error::kInvalid, "--set takes KEY=VALUE, and this is \"" + setting + "\"");
  }
  std::string_view path = std::string_view(setting).substr(0, equals);
  const std::string_view text = std::string_view(setting).substr(equals + 1);
  json::object* at = &spec;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    json::value& below = (*at)[path.substr(0, dot)];
    if (!below.is_object()) below = json::object();
    at = &below.as_object();
    path.remove_prefix(dot + 1);
  }
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) value = json::string(text);
  if (text.empty()) {
    at->erase(path);
  } else {
    (*at)[path] = std::move(value);
  }
  return {};
}

Result<json::object> spec_given(const Options& options, const Wiring& wiring, json::object spec) {
  if (!options.from_file.empty()) {
    const std::string text = TRY(wiring.json_of_yaml(TRY(file_text(options.from_file))));
    const json::value value = TRY(parsed(text));
    if (!value.is_object()) {
      return failure(Error::kInvalid, "a spec is a mapping of keys to values");
    }
    spec = value.as_object();
  }
  for (const std::string& setting : options.settings) TRY(assign(spec, setting));
  for (const auto& [key, value] : {std::pair{"role", &options.role},
                                   {"user", &options.user},
                                   {"group", &options.group},
                                   {"account", &options.account}}) {
    if (!value->empty()) spec[key] = *value;
  }
  return spec;
}

void show_object(const Options& options, const std::string& text, const json::value& object) {
  if (options.form == Form::kJson) return print(text + "\n");
  const auto at = [&](const char* key) { return json::serialize(object.at(key)); };
  std::string out = fmt::format("{} {} of tenant {}, from {}, version {}\n",
                                std::string_view(object.at("kind").as_string()),
                                std::string_view(object.at("name").as_string()),
                                std::string_view(object.at("tenant").as_string()),
                                std::string_view(object.at("from").as_string()), at("version"));
  for (const auto& [key, value] : object.at("spec").as_object()) {
    out += fmt::format("  {}: {}\n", std::string_view(key), json::serialize(value));
  }
  print(printable(out));
}

Result<int> show_reply(const Options& options, const HttpReply& reply) {
  const json::value object = TRY(parsed(reply.body));
  try {
    show_object(options, reply.body, object);
  } catch (const std::exception&) {
    return failure(Error::kUpstream, "the gatehouse answered with another object");
  }
  return 0;
}

// So that a request that is sent again is not done again.
std::string fresh_key() {
  std::array<std::uint8_t, 16> bytes{};
  fill_random(bytes);
  return to_hex(bytes);
}

}  // namespace

Result<int> create_object(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  json::object body;
  if (options.kind != "binding") body["name"] = options.name;
  body["spec"] = TRY(spec_given(options, wiring, {}));
  const HttpReply reply = TRY(api.call("POST", TRY(collection(api, options)), json::serialize(body),
                                       {{"idempotency-key", fresh_key()}}));
  return show_reply(options, reply);
}

Result<int> list_kind(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  const std::vector<std::string> items = TRY(api.list(TRY(collection(api, options))));
  if (options.form == Form::kJson) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "[" : ",\n ") + item;
    print((out.empty() ? "[" : out) + "]\n");
    return 0;
  }
  Table table({"name", "tenant", "from", "version", "spec"});
  for (const std::string& text : items) {
    const json::value object = TRY(parsed(text));
    try {
      table.add({std::string(object.at("name").as_string()),
                 std::string(object.at("tenant").as_string()),
                 std::string(object.at("from").as_string()), json::serialize(object.at("version")),
                 json::serialize(object.at("spec"))});
    } catch (const std::exception&) {
      return failure(Error::kUpstream, "the gatehouse answered with another object");
    }
  }
  print(table.text(options.form));
  return 0;
}

Result<int> show_kind(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  return show_reply(options, TRY(api.call("GET", TRY(item(api, options)))));
}

Result<int> set_object(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  const std::string path = TRY(item(api, options));
  const HttpReply now = TRY(api.call("GET", path));
  const json::value object = TRY(parsed(now.body));
  const json::value* spec = object.is_object() ? object.as_object().if_contains("spec") : nullptr;
  if (spec == nullptr || !spec->is_object()) {
    return failure(Error::kUpstream, "the gatehouse answered with another object");
  }
  json::object body;
  body["spec"] = TRY(spec_given(options, wiring, spec->as_object()));
  return show_reply(options,
                    TRY(api.call("PUT", path, json::serialize(body), {{"if-match", now.etag}})));
}

Result<int> remove_object(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  TRY(api.call("DELETE", TRY(item(api, options))));
  print(told(options.form, fmt::format("{} {} is removed", options.kind, options.name),
             {{"removed", options.name}, {"kind", options.kind}}));
  return 0;
}

Result<int> end_sessions(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  const HttpReply reply = TRY(api.call("POST", TRY(item(api, options)) + "/sign-out"));
  const json::value answer = TRY(parsed(reply.body));
  const json::value* ended = answer.is_object() ? answer.as_object().if_contains("ended") : nullptr;
  if (ended == nullptr || !ended->is_int64()) {
    return failure(Error::kUpstream, "the gatehouse answered with something else");
  }
  const auto count = static_cast<std::uint64_t>(ended->as_int64());
  print(told(options.form, fmt::format("{} sessions of {} ended", count, options.name),
             {{"ended", count}, {"name", options.name}}));
  return 0;
}

}  // namespace gatehouse::cli
