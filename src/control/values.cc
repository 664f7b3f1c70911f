// SPDX-License-Identifier: Apache-2.0
#include "control/values.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kLineMost = 256;                       // bytes
constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";  // RFC 9110 section 5.6.2

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kNameMost || !is_alnum(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (is_alnum(c) && !(c >= 'A' && c <= 'Z')) || c == '-' || c == '_' || c == '.';
  });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || kTokenMarks.contains(c);
  });
}
bool is_variable(std::string_view text) {
  if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_'; });
}
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}
bool is_clean_path(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.empty()) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string file_name(Section& section, std::string_view key) {
  std::string name = section.string_or(key, "");
  if (section.value(key) != nullptr && name.empty()) {
    section.problem(key, fmt::format("{} must name a file", key));
  }
  return name;
}

std::string line(Section& section, std::string_view key) {
  std::string text = section.string_or(key, "");
  const bool plain = is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
                       return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
                     });
  if (!plain || text.size() > kLineMost) {
    section.problem(key, fmt::format("{} must be one line of at most {} bytes", key, kLineMost));
  }
  return text;
}

std::string required_line(Section& section, std::string_view key) {
  (void)section.string(key, Need::kRequired);
  std::string text = line(section, key);
  if (section.value(key) != nullptr && text.empty()) {
    section.problem(key, fmt::format("{} must not be empty", key));
  }
  return text;
}

std::string certificate(Section& section, std::string_view key, const ReadNamed& read) {
  const auto file = section.string(key, Need::kOptional);
  if (!file) return "";
  const auto pem = read(*file);
  if (!pem) {
    section.problem(key, fmt::format("{}: {}", key, pem.error().message()),
                    ProblemKind::kUnreadableFile);
  } else if (!pem->contains("-----BEGIN CERTIFICATE-----")) {
    section.problem(key, fmt::format("{}: {} has no PEM certificate", key, *file),
                    ProblemKind::kUnreadableFile);
  } else {
    return *pem;
  }
  return "";
}

std::string endpoint(Section& section, std::string_view key, Need need, bool allow_private) {
  const auto given = section.string(key, need);
  if (!given) return "";
  const auto parsed = wire::Url::parse(*given);
  if (!parsed) {
    section.problem(key, fmt::format("{}: {}", key, parsed.error().message()));
  } else if (parsed->scheme == wire::Scheme::kHttp && !allow_private) {
    section.problem(key,
                    fmt::format("{} must be https: tokens go there (http is for loopback "
                                "tests, with allow_private: true)",
                                key),
                    ProblemKind::kWrongTogether);
  }
  return *given;
}

Timeouts timeouts(Section& section, std::string_view key, Problems& problems) {
  Timeouts out;
  const Yaml* given = section.value(key);
  if (given == nullptr) return out;
  Section of(*given, "timeouts", problems);
  const auto seconds = [&](std::string_view name, std::uint32_t& value, std::uint32_t least,
                           std::uint32_t most) {
    value = static_cast<std::uint32_t>(of.number_or(name, value, most));
    if (value < least) {
      of.problem(name, fmt::format("{} is a number of seconds, of at least {}", name, least));
    }
  };
  seconds("connect", out.connect_s, 1, ipc::Timeouts::kConnectMost_s);
  seconds("first_byte", out.first_byte_s, 1, ipc::Timeouts::kMost_s);
  seconds("idle", out.idle_s, 1, ipc::Timeouts::kMost_s);
  seconds("total", out.total_s, 0, ipc::Timeouts::kMost_s);
  of.finish();
  return out;
}

void check_scopes(Section& section, const std::vector<std::string>& scopes) {
  for (const std::string& scope : scopes) {
    if (scope.empty() || !is_plain(scope) || scope.contains(' ')) {
      section.problem("scopes", "a scope is one word; scopes is a list of them");
    }
  }
}

std::vector<std::string> patterns(Section& section, std::string_view key) {
  std::vector<std::string> list = section.strings(key);
  for (const std::string& pattern : list) {
    if (!pattern.starts_with('/') || !is_plain(pattern) || pattern.contains('?')) {
      section.problem(key, fmt::format("\"{}\" is not a path pattern: it begins with \"/\" and "
                                       "has no query; * stands for part of a segment, a last "
                                       "** for any rest",
                                       printable(pattern.substr(0, kNameMost))));
    }
  }
  return list;
}

}  // namespace gatehouse::control
