// SPDX-License-Identifier: Apache-2.0
#include "sandbox/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "ipc/agent_environment.h"

namespace gatehouse::sandbox {
namespace {

constexpr std::size_t kArgumentsMost = 1024;

bool is_inside(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.contains('\0')) return false;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

std::vector<std::string> base_environment() {
  std::vector<std::string> all = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      fmt::format("HOME={}", kHome),
      "USER=agent",
      "LOGNAME=agent",
      "SHELL=/bin/bash",
      "LANG=C.UTF-8",
      "TMPDIR=/tmp",
  };
  for (const auto& more : {ipc::proxy_variables(fmt::format("http://127.0.0.1:{}", kProxyPort)),
                           ipc::trust_variables(std::string(kBundle))}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

// What is given takes the place of what is built.
void set_variable(std::vector<std::string>& environment, std::string item) {
  const std::string_view name = std::string_view(item).substr(0, item.find('=') + 1);
  std::erase_if(environment, [name](const auto& other) { return other.starts_with(name); });
  environment.push_back(std::move(item));
}

}  // namespace

std::string volume_name(std::string_view tenant, std::string_view agent, std::string_view user,
                        std::string_view volume) {
  std::string name =
      percent_encoded(tenant) + "+" + percent_encoded(agent) + "+" + percent_encoded(user);
  if (!volume.empty() && volume != kUsualVolume) name += "+" + percent_encoded(volume);
  return name;
}

std::uint32_t host_uid_of(std::string_view volume, const HostPaths& host) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : volume) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return host.first_uid + hash % host.uids;
}

Result<Plan> make_plan(const ipc::CreateSandbox& request, const HostPaths& host) {
  if (request.argv.empty() || request.argv.size() > kArgumentsMost) {
    return failure(Error::kInvalid, "a run needs a command: gatehouse run ... -- CMD [ARG ...]");
  }
  Plan plan;
  plan.run = request.run;
  plan.argv = request.argv;
  plan.environment = base_environment();
  for (const std::string& item : request.environment) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0 || item.contains('\0')) {
      return failure(Error::kInvalid, "an environment entry is not NAME=value: " + printable(item));
    }
    set_variable(plan.environment, item);
  }
  const std::string volume =
      volume_name(request.run.tenant, request.run.agent, request.run.user, request.volume);
  plan.volume = host.volumes + "/" + volume;
  plan.host_uid = host_uid_of(volume, host);
  plan.cgroups = host.cgroups;
  plan.limits_best_effort = host.limits_best_effort;
  plan.no_landlock = host.no_landlock;
  if (!request.skeleton.empty() && !request.skeleton.starts_with('/')) {
    return failure(Error::kInvalid,
                   "the skeleton's path is not absolute: " + printable(request.skeleton));
  }
  plan.skeleton = request.skeleton;
  plan.working_directory =
      request.working_directory.empty() ? std::string(kHome) : request.working_directory;
  for (const ipc::ReadOnlyPath& tool : request.toolbox) {
    if (!tool.source.starts_with('/') || !tool.target.starts_with('/')
        || !is_inside(std::string_view(tool.target).substr(1))) {
      return failure(Error::kInvalid, "a toolbox path is not absolute: " + printable(tool.target));
    }
  }
  plan.toolbox = request.toolbox;
  for (const std::string& file : request.read_only_files) {
    if (!is_inside(file)) {
      return failure(Error::kInvalid,
                     "a read-only file is not a path below the home volume: " + printable(file));
    }
  }
  plan.read_only_files = request.read_only_files;
  plan.ca_bundle_pem = host.ca_bundle_pem + "\n" + request.ca_certificate_pem;
  if (request.memory_most_bytes != 0) plan.memory_most_bytes = request.memory_most_bytes;
  if (request.pids_most != 0) plan.pids_most = request.pids_most;
  plan.pty = request.pty;
  plan.rows = request.rows;
  plan.columns = request.columns;
  const bool has_kind = std::any_of(plan.environment.begin(), plan.environment.end(),
                                    [](const auto& item) { return item.starts_with("TERM="); });
  if (plan.pty && !has_kind) plan.environment.emplace_back("TERM=xterm-256color");
  return plan;
}

}  // namespace gatehouse::sandbox
