// SPDX-License-Identifier: Apache-2.0
#include "bin/up.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/encoding.h"
#include "base/log.h"
#include "bin/role_main.h"
#include "ipc/supervisor.h"
#include "net/descriptor.h"
#include "net/real_loop.h"
#include "supervisor/supervisor.h"

namespace gatehouse::bin {
namespace {

constexpr std::size_t kGateway = 3;  // in the list of roles
constexpr std::size_t kControl = 4;
constexpr std::size_t kSandboxd = 5;

struct Role {
  std::string name;
  const char* directory;  // below the data directory, the role's alone; "" for none
  std::uint32_t uid;      // after the first of the roles'
  std::vector<std::string> peers;
};

constexpr std::size_t kGatewaysMost = 16;

// A gateway for each core that the house may use. They share nothing: each has its own Doors, its
// own ring into the log, its own lines to the other roles.
std::size_t gateways() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::clamp<std::size_t>(static_cast<std::size_t>(CPU_COUNT(&cores)), 1, kGatewaysMost);
}

std::vector<Role> roles(const host::Footing& footing, bool exports) {
  std::vector<Role> all = {
      {"audit", "audit", 0, {}},
      {"vault", "vault", 1, {"audit", "courier"}},
      {"courier", "", 2, {}},
      {"gateway", "", 3, {"vault", "audit"}},
      {"control", "state", 4, {"vault", "gateway", "courier", "audit", "sandboxd"}},
      {"sandboxd", "volumes", 0, {"gateway", "vault", "audit"}},
  };
  if (exports) {
    all.push_back({"exporter", "", 5, {"audit"}});
    all.at(kControl).peers.emplace_back("exporter");
  }
  for (std::size_t i = 1; i < gateways(); ++i) {
    Role more = all.at(kGateway);
    more.name += "." + std::to_string(i);
    more.uid = 10 + static_cast<std::uint32_t>(i);
    for (const std::size_t peer : {kControl, kSandboxd}) all.at(peer).peers.push_back(more.name);
    all.push_back(std::move(more));
  }
  for (Role& role : all) {
    const bool is_own = role.name != "sandboxd" && footing.first_role_uid != 0;
    role.uid = is_own ? role.uid + footing.first_role_uid : 0;
  }
  // Where no sandbox can be built, nobody is there to build one.
  if (footing.mode == host::Mode::kContainer) all.erase(all.begin() + kSandboxd);
  return all;
}

std::vector<std::string> arguments_of(const Role& role, const House& house,
                                      const host::Footing& footing, std::uint32_t owner) {
  std::vector<std::string> arguments = {"--data", house.data, "--uid", std::to_string(role.uid),
                                        "--name", role.name};
  const auto add = [&](std::string name, std::string value) {
    arguments.push_back(std::move(name));
    arguments.push_back(std::move(value));
  };
  if (footing.concessions.no_landlock) add("--landlock", "optional");
  if (role.name == "control") {
    add("--config", house.config);
    add("--owner", std::to_string(owner));
    if (footing.is_rootless()) add("--owner-outside", std::to_string(footing.user));
  }
  if (role.name == "sandboxd") {
    add("--cgroups", footing.cgroups);
    add("--first-uid", std::to_string(footing.first_sandbox_uid));
    add("--uids", std::to_string(footing.sandbox_uids));
    add("--limits", footing.concessions.limits_best_effort ? "best-effort" : "enforced");
  }
  return arguments;
}

// What a role sees of the data directory where all of them are root of one user namespace, or one
// user: nothing but its own. Sandboxd's wardens knock in run/.
supervisor::View view_of(const Role& role, const House& house, const host::Footing& footing) {
  if (!footing.is_rootless()) return {};
  supervisor::View view{house.data, {}};
  if (*role.directory != '\0') view.folders.emplace_back(role.directory);
  if (role.name == "sandboxd") view.folders.emplace_back("run");
  return view;
}

// `data` may be somebody else's: nothing that lies in it is followed, and a directory that neither
// we nor a role of ours made is not taken over.
Result<net::Descriptor> make_directory(const std::string& data, const char* name, mode_t mode,
                                       std::uint32_t uid) {
  const std::string path = data + "/" + name;
  const bool made = mkdir(path.c_str(), mode) == 0;
  if (!made && errno != EEXIST) return failure_from_errno(errno, "making " + path);
  net::Descriptor at(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  if (!at.is_open() || fstat(at.get(), &about) != 0) {
    return failure_from_errno(errno, path + " must be a directory");
  }
  if (geteuid() == 0) {
    if (!made && about.st_uid != uid && about.st_uid != 0) {
      return failure(Error::kDenied, fmt::format("{} belongs to uid {}, not to its role (uid {}); "
                                                 "look at what it is, then remove or chown it",
                                                 path, about.st_uid, uid));
    }
    if (fchown(at.get(), uid, uid) != 0) {
      return failure_from_errno(errno, "giving " + path + " to its role");
    }
  }
  if (fchmod(at.get(), mode) != 0) return failure_from_errno(errno, "closing " + path);
  return at;
}

// A number of ours may have been given to a person before: then that person could read what is the
// role's alone. Packages reserve the numbers under the roles' names.
Result<void> check_uid(const Role& role, const host::Footing& footing) {
  if (role.uid == 0 || footing.is_rootless()) return {};
  const passwd* known = getpwuid(role.uid);
  if (known == nullptr || std::string_view(known->pw_name).starts_with("gatehouse-")) return {};
  return failure(
      Error::kConflict,
      fmt::format("uid {} is meant for the role {}, and belongs to the user \"{}\": give "
                  "that user another number (usermod --uid)",
                  role.uid, role.name, printable(known->pw_name)));
}

// Held until the house ends, however it ends.
Result<net::Descriptor> lock_house(const std::string& data, int run_directory) {
  const std::string path = data + "/run/lock";
  net::Descriptor lock(
      openat(run_directory, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock.is_open()) return failure_from_errno(errno, "opening " + path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure(Error::kConflict, "another gatehouse runs on " + data
                                         + "; `gatehouse status` shows it. Stop it first");
  }
  return lock;
}

// As many descriptors as the house is allowed to have: its roles inherit it. The usual soft limit
// is for programs that use select(2), of which there is none here.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log_warning("the limit on descriptors stays as it is", {{"why", std::strerror(errno)}});
  }
}

}  // namespace

Result<std::string> roles_directory() {
  const std::string own = TRY(own_directory());
  for (const std::string& directory : {own, own + "/" GATEHOUSE_ROLES_FROM_BIN}) {
    if (access((directory + "/gatehouse-audit").c_str(), X_OK) == 0) return directory;
  }
  return failure(
      Error::kNotFound,
      fmt::format("the roles' executables (gatehouse-audit and others) are neither in {} "
                  "nor in {}/" GATEHOUSE_ROLES_FROM_BIN ": install gatehouse again",
                  own, own));
}

Result<void> run_house(const House& house) {
  raise_descriptor_limit();
  struct stat about{};
  if (stat(house.data.c_str(), &about) != 0) {
    return failure(Error::kNotFound,
                   fmt::format("no data directory at {}; `gatehouse init` makes one", house.data));
  }
  // The roles inherit it.
  setenv("GATEHOUSE_LOG", house.log == LogForm::kJson ? "json" : "text", 1);
  begin_log("supervisor");
  if (geteuid() != 0 && about.st_uid != geteuid()) {
    return failure(Error::kDenied,
                   fmt::format("{} belongs to uid {}, and without root a house is its owner's: "
                               "start it as that user, or make one of your own with `gatehouse "
                               "init`",
                               house.data, about.st_uid));
  }
  const bool was_root = geteuid() == 0;
  struct stat vault{};
  const bool keeps_one_uid =
      !was_root && stat((house.data + "/vault").c_str(), &vault) == 0 && vault.st_uid == geteuid();
  const host::Footing footing = TRY(host::take_footing(house.concessions, keeps_one_uid));
  // In a user namespace its owner is root, in name too.
  const std::uint32_t owner = was_root ? about.st_uid : geteuid();
  const net::Descriptor run = TRY(make_directory(house.data, "run", 0755, geteuid()));
  const net::Descriptor lock = TRY(lock_house(house.data, run.get()));
  supervisor::Settings settings;
  settings.footing = footing;
  settings.data = house.data;
  settings.run_directory = house.data + "/run";
  settings.owner_uid = owner;
  settings.ports = house.ports;
  settings.access_log = house.access_log;
  settings.log = house.log;
  settings.read_config = house.read_config;
  for (const Role& role : roles(footing, house.exports)) {
    TRY(check_uid(role, footing));
    if (*role.directory != '\0') {
      TRY(make_directory(house.data, role.directory, 0700, role.uid));
    }
    settings.roles.push_back(
        {role.name, house.executables + "/gatehouse-" + std::string(ipc::role_of(role.name)),
         arguments_of(role, house, footing, owner), role.peers, view_of(role, house, footing)});
  }
  auto loop = net::make_real_loop();
  auto supervisor = TRY(supervisor::Supervisor::make(*loop, std::move(settings)));
  log_info("the house starts", {{"data", house.data}, {"mode", text(footing.mode)}});
  return supervisor->run();
}

}  // namespace gatehouse::bin
