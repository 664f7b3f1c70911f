// SPDX-License-Identifier: Apache-2.0
#include "control/telemetry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "control/private_file.h"
#include "control/telemetry_decoding.h"
#include "control/values.h"
#include "wire/headers.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kHeadersMost = 4096;  // bytes
constexpr std::size_t kCaMost = 16 * 1024;  // it must fit a message with more
constexpr std::size_t kResourceMost = 32;
constexpr std::string_view kTracesPath = "/v1/traces";  // OTLP/HTTP, section Default paths

bool is_loopback(const wire::Host& host) {
  return host.ip() ? wire::address_class(*host.ip()) == wire::AddressClass::kLoopback
                   : host.text() == "localhost";
}

void decode_endpoint(Section& section, Telemetry& telemetry) {
  const auto text = section.string("endpoint", Need::kRequired);
  if (!text) return;
  auto url = wire::Url::parse(*text);
  if (!url) {
    section.problem("endpoint", "endpoint: " + url.error().message());
    return;
  }
  const bool is_clear = url->scheme == wire::Scheme::kHttp;
  if (is_clear && !telemetry.allow_private) {
    section.problem("endpoint",
                    "endpoint must be https; http is for a collector in your own network, with "
                    "allow_private: true",
                    ProblemKind::kWrongTogether);
  } else if (is_clear && !telemetry.headers_file.empty() && !is_loopback(url->host)) {
    section.problem("endpoint",
                    "what headers_file holds is a secret: endpoint must be https, or loopback",
                    ProblemKind::kWrongTogether);
  }
  if (url->path_and_query == "/") url->path_and_query = kTracesPath;
  telemetry.url = url->text();
}

void decode_resource(Section& section, Telemetry& telemetry) {
  const auto& members = section.map("resource");
  if (members.size() > kResourceMost) {
    section.problem("resource", fmt::format("resource may have at most {} items", kResourceMost));
  }
  for (const auto& [key, value] : members) {
    const bool is_text =
        value.type == Yaml::Type::kScalar && (value.quoted || !is_number_or_boolean(value));
    if (key.text.empty() || key.text.size() > kNameMost || !is_plain(key.text) || !is_text
        || value.text.size() > 256 || !is_plain(value.text)) {
      section.problem("resource",
                      fmt::format("each item of resource is a name of at most {} characters and a "
                                  "text of at most 256, in printable ASCII",
                                  kNameMost));
      return;
    }
    telemetry.resource.emplace_back(key.text, value.text);
  }
}

void decode_otlp(Section& section, const ReadNamed& read, Telemetry& telemetry) {
  telemetry.allow_private = section.boolean_or("allow_private", false);
  telemetry.headers_file = file_name(section, "headers_file");
  if (!telemetry.headers_file.empty() && !telemetry.headers_file.starts_with('/')) {
    section.problem("headers_file", "headers_file must be an absolute path");
  }
  telemetry.ca_pem = certificate(section, "ca", read);
  if (telemetry.ca_pem.size() > kCaMost) {
    section.problem("ca", fmt::format("ca has more than {} bytes", kCaMost));
  }
  decode_resource(section, telemetry);
  decode_endpoint(section, telemetry);
}

// Those that the exporter sets itself, or that would change where a request ends.
bool is_own_field(std::string_view name) {
  constexpr std::array<std::string_view, 8> kOwn = {
      "host",       "content-length", "content-type",     "transfer-encoding",
      "connection", "accept",         "content-encoding", "user-agent"};
  return std::ranges::any_of(
      kOwn, [&](std::string_view own) { return wire::equal_ignoring_case(own, name); });
}

// Appends it as a line of a head. False for what is none.
bool add_field(std::string_view line, std::string& out) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (!is_token(name) || is_own_field(name) || value.empty() || !is_plain(value)) return false;
  out.append(name).append(": ").append(value).append("\r\n");
  return true;
}

}  // namespace

Telemetry decode_telemetry(Section& file, const ReadNamed& read, Problems& problems) {
  Telemetry telemetry;
  if (const Yaml* node = file.value("otlp")) {
    Section section(*node, "otlp", problems);
    decode_otlp(section, read, telemetry);
    section.finish();
  }
  if (const Yaml* node = file.value("access_log")) {
    Section section(*node, "access_log", problems);
    telemetry.access_log = section.string("to", Need::kRequired).value_or("");
    const bool is_path =
        telemetry.access_log.starts_with('/') && is_clean_path(telemetry.access_log);
    if (section.value("to") != nullptr && !is_path
        && telemetry.access_log != Telemetry::kStandardError) {
      section.problem("to", "to must be an absolute path without . and .., or stderr");
    }
    section.finish();
  }
  return telemetry;
}

Result<Secret> otlp_headers(const Telemetry& telemetry) {
  if (telemetry.headers_file.empty()) return Secret();
  WipedText read;
  TRY(read_private_file({"otlp.headers_file", telemetry.headers_file,
                         "what the collector knows the house by", kHeadersMost},
                        read));
  WipedText fields;
  fields.text.reserve(2 * kHeadersMost + 2);
  std::string_view left = read.text;
  bool is_sound = left.size() <= kHeadersMost;
  while (!left.empty() && is_sound) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) is_sound = add_field(line, fields.text);
  }
  if (!is_sound || fields.text.empty()) {
    return failure(Error::kInvalid,
                   fmt::format("{} must hold lines of NAME: VALUE, {} bytes at most in all, and no "
                               "field that the exporter sets itself (host, content-type, ...)",
                               telemetry.headers_file, kHeadersMost));
  }
  return Secret(fields.text);
}

}  // namespace gatehouse::control
