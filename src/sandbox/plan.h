// SPDX-License-Identifier: Apache-2.0
// Plan: everything about one sandbox as a value, decided before anything is done. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/cgroup.h"
#include "ipc/sandbox.h"

namespace gatehouse::sandbox {

inline constexpr std::uint32_t kUidInside = 1000;
inline constexpr std::uint32_t kFirstHostUid = 1'000'000;  // as root: far above people's ranges
inline constexpr std::uint16_t kProxyPort = 3128;
inline constexpr std::string_view kHome = "/home/agent";
inline constexpr std::string_view kBundle = "/etc/ssl/certs/ca-certificates.crt";
inline constexpr std::uint64_t kMemoryDefault = 4ULL << 30;
inline constexpr std::uint32_t kPidsDefault = 1024;

struct Plan {
  ipc::RunSpec run;
  std::uint32_t host_uid = kFirstHostUid;  // what uid 1000 inside is outside; never the host's root
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // whole: nothing is inherited
  std::string working_directory;
  std::string volume;    // the home volume's directory on the host
  std::string skeleton;  // a host directory; what a new volume begins with, "" for nothing
  std::vector<ipc::ReadOnlyPath> toolbox;
  std::vector<std::string> read_only_files;  // relative to the home volume
  std::string ca_bundle_pem;                 // the host's anchors and the tenant's CA
  std::uint64_t memory_most_bytes = kMemoryDefault;
  std::uint32_t pids_most = kPidsDefault;
  std::string cgroups = host::kRootCgroups;  // where its cgroup is made
  bool limits_best_effort = false;           // goes without what this host does not enforce
  bool no_landlock = false;
  bool pty = false;
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  template <class F>
  void fields(F& f) {
    f(run, host_uid, argv, environment, working_directory, volume, skeleton, toolbox,
      read_only_files, ca_bundle_pem, memory_most_bytes, pids_most, cgroups, limits_best_effort,
      no_landlock, pty, rows, columns);
  }
};

// What the host gives to a plan.
struct HostPaths {
  std::string volumes;        // the root of all volumes
  std::string ca_bundle_pem;  // the host's own trust anchors
  std::string rendezvous{};   // the house's socket for wardens that have lost their sandboxd
  std::string cgroups = host::kRootCgroups;
  std::uint32_t first_uid = kFirstHostUid;  // of sandboxes, and how many
  std::uint32_t uids = 60'000;
  bool limits_best_effort = false;
  bool no_landlock = false;
};

// Errors: kInvalid, with what is wrong in the request.
[[nodiscard]] Result<Plan> make_plan(const ipc::CreateSandbox& request, const HostPaths& host);

inline constexpr std::string_view kUsualVolume = "home";
// A directory name that is one for each tenant, agent, user and volume, and safe whatever they
// hold.
[[nodiscard]] std::string volume_name(std::string_view tenant, std::string_view agent,
                                      std::string_view user, std::string_view volume);
// The host uid that owns a user's volumes, the same at every start. Two users may share one by
// chance; what keeps them apart is that a sandbox sees its own volume only.
[[nodiscard]] std::uint32_t host_uid_of(std::string_view volume, const HostPaths& host);

}  // namespace gatehouse::sandbox
