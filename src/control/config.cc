// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <tuple>

#include "base/check.h"
#include "control/decoding.h"

namespace gatehouse::control {
namespace {

// Where a file lies that the config at `path` names.
std::string place_beside(const std::string& path, const std::string& named) {
  if (named.empty() || named.starts_with('/') || !path.contains('/')) return named;
  return path.substr(0, path.rfind('/') + 1) + named;
}

}  // namespace

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return failure_from_errno(errno, "reading " + path);
  std::string text(kConfigMost + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return failure(Error::kCorrupt, "reading " + path + " failed");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kConfigMost) {
    return failure(Error::kTooLarge, fmt::format("{} is larger than {} bytes", path, kConfigMost));
  }
  return text;
}

ReadNamed reader_beside(const std::string& path) {
  return [path](const std::string& named) { return read_whole(place_beside(path, named)); };
}

namespace {

std::vector<Tenant>& list_of(Config& c, const Tenant&) { return c.tenants; }
std::vector<User>& list_of(Config& c, const User&) { return c.users; }
std::vector<Service>& list_of(Config& c, const Service&) { return c.services; }
std::vector<Agent>& list_of(Config& c, const Agent&) { return c.agents; }
std::vector<Rule>& list_of(Config& c, const Rule&) { return c.rules; }
std::vector<Group>& list_of(Config& c, const Group&) { return c.groups; }
std::vector<Account>& list_of(Config& c, const Account&) { return c.accounts; }
std::vector<Issuer>& list_of(Config& c, const Issuer&) { return c.issuers; }
std::vector<Binding>& list_of(Config& c, const Binding&) { return c.bindings; }

}  // namespace

std::vector<Object> Config::objects() const {
  std::vector<Object> all;
  all.insert(all.end(), tenants.begin(), tenants.end());
  all.insert(all.end(), issuers.begin(), issuers.end());
  all.insert(all.end(), users.begin(), users.end());
  all.insert(all.end(), groups.begin(), groups.end());
  all.insert(all.end(), accounts.begin(), accounts.end());
  all.insert(all.end(), bindings.begin(), bindings.end());
  all.insert(all.end(), services.begin(), services.end());
  all.insert(all.end(), agents.begin(), agents.end());
  all.insert(all.end(), rules.begin(), rules.end());
  return all;
}

void Config::add(const Object& object) {
  std::visit([this](const auto& o) { list_of(*this, o).push_back(o); }, object);
}

Object Config::last(Kind kind) const {
  std::optional<Object> found;
  for (Object& object : objects()) {
    if (kind_of(object) == kind) found = std::move(object);
  }
  CHECK(found);
  return *std::move(found);
}

std::expected<Config, Problems> decode_config(std::string_view yaml, const ReadNamed& read) {
  if (yaml.size() > kConfigMost) {
    return std::unexpected(
        Problems{{0, 0, fmt::format("the file is larger than {} bytes", kConfigMost),
                  ProblemKind::kTooLarge}});
  }
  const auto document = parse_yaml(yaml);
  if (!document) return std::unexpected(Problems{document.error()});
  Problems problems;
  Config config = decode_document(*document, read, problems);
  if (problems.empty()) return config;
  std::sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.column, a.what) < std::tie(b.line, b.column, b.what);
  });
  return std::unexpected(std::move(problems));
}

Result<std::expected<Config, Problems>> check_config(const std::string& path) {
  const ReadNamed read = reader_beside(path);
  auto config = decode_config(TRY(read_whole(path)), read);
  if (config) place_house_files(*config, path);
  return config;
}

void place_house_files(Config& config, const std::string& path) {
  for (std::string* file : {&config.admin.certificate, &config.admin.key,
                            &config.attach.certificate, &config.attach.key}) {
    *file = place_beside(path, *file);
  }
  for (Service& service : config.services) {
    if (!service.client_certificate) continue;
    for (std::string* file :
         {&service.client_certificate->certificate, &service.client_certificate->key}) {
      *file = place_beside(path, *file);
    }
  }
}

Result<Config> load_config(const std::string& path) {
  auto config = TRY(check_config(path));
  if (config) return *std::move(config);
  return refusal_of(config.error(), path);
}

Failure refusal_of(const Problems& problems, const std::string& path) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.text(path));
  return failure(Error::kInvalid, fmt::format("{}", fmt::join(lines, "\n")));
}

}  // namespace gatehouse::control
