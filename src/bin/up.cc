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

// In root mode each role has a uid of its own, in a range that Debian leaves to the administrator
// (below 60000, above what adduser gives out); without root all have the caller's.
constexpr std::uint32_t kFirstUid = 58'100;
constexpr std::size_t kGateway = 3;  // in the list of roles
constexpr std::size_t kControl = 4;
constexpr std::size_t kSandboxd = 5;

struct Role {
  std::string name;
  const char* directory;  // below the data directory, the role's alone; "" for none
  std::uint32_t uid;
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

std::vector<Role> roles() {
  std::vector<Role> all = {
      {"audit", "audit", kFirstUid + 0, {}},
      {"vault", "vault", kFirstUid + 1, {"audit", "courier"}},
      {"courier", "", kFirstUid + 2, {}},
      {"gateway", "", kFirstUid + 3, {"vault", "audit"}},
      {"control", "state", kFirstUid + 4, {"vault", "gateway", "courier", "audit", "sandboxd"}},
      {"sandboxd", "volumes", 0, {"gateway", "vault", "audit"}},
  };
  for (std::size_t i = 1; i < gateways(); ++i) {
    Role more = all.at(kGateway);
    more.name += "." + std::to_string(i);
    more.uid = kFirstUid + 10 + static_cast<std::uint32_t>(i);
    for (const std::size_t peer : {kControl, kSandboxd}) all.at(peer).peers.push_back(more.name);
    all.push_back(std::move(more));
  }
  return all;
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
Result<void> check_uid(const Role& role) {
  if (role.uid == 0) return {};
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
  const bool root = geteuid() == 0;
  const std::uint32_t owner = about.st_uid;
  const net::Descriptor run = TRY(make_directory(house.data, "run", 0755, root ? 0 : geteuid()));
  const net::Descriptor lock = TRY(lock_house(house.data, run.get()));
  supervisor::Settings settings;
  settings.data = house.data;
  settings.run_directory = house.data + "/run";
  settings.owner_uid = owner;
  settings.metrics = house.metrics;
  settings.admin_listen = house.admin;
  settings.log = house.log;
  settings.attach_listen = house.attach;
  settings.read_config = house.read_config;
  for (const Role& role : roles()) {
    const std::uint32_t uid = root ? role.uid : 0;
    if (root) TRY(check_uid(role));
    if (*role.directory != '\0') {
      TRY(make_directory(house.data, role.directory, 0700, root ? role.uid : geteuid()));
    }
    std::vector<std::string> arguments = {"--data", house.data, "--uid", std::to_string(uid),
                                          "--name", role.name};
    if (role.name == "control") {
      arguments.insert(arguments.end(),
                       {"--config", house.config, "--owner", std::to_string(owner)});
    }
    settings.roles.push_back(
        {role.name, house.executables + "/gatehouse-" + std::string(ipc::role_of(role.name)),
         arguments, role.peers});
  }
  auto loop = net::make_real_loop();
  auto supervisor = TRY(supervisor::Supervisor::make(*loop, std::move(settings)));
  log_info("the house starts", {{"data", house.data}, {"mode", root ? "root" : "single-user"}});
  return supervisor->run();
}

}  // namespace gatehouse::bin
