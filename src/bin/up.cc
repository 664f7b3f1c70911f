// SPDX-License-Identifier: Apache-2.0
#include "bin/up.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "net/descriptor.h"
#include "net/real_loop.h"
#include "supervisor/supervisor.h"

namespace gatehouse::bin {
namespace {

// In root mode each role has a uid of its own, in a range that Debian leaves to the administrator
// (below 60000, above what adduser gives out); without root all have the caller's.
constexpr std::uint32_t kFirstUid = 58'100;

struct Role {
  const char* name;
  const char* directory;  // below the data directory, the role's alone; "" for none
  std::uint32_t uid;
  std::vector<std::string> peers;
};

const std::vector<Role>& roles() {
  static const std::vector<Role> kRoles = {
      {"audit", "audit", kFirstUid + 0, {}},
      {"vault", "vault", kFirstUid + 1, {"audit", "courier"}},
      {"courier", "", kFirstUid + 2, {}},
      {"gateway", "", kFirstUid + 3, {"vault", "audit"}},
      {"control", "state", kFirstUid + 4, {"vault", "gateway", "courier", "audit", "sandboxd"}},
      {"sandboxd", "volumes", 0, {"gateway", "vault", "audit"}},
  };
  return kRoles;
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

}  // namespace

Result<void> run_house(const House& house) {
  struct stat about{};
  if (stat(house.data.c_str(), &about) != 0) {
    return failure(Error::kNotFound,
                   fmt::format("no data directory at {}; `gatehouse init` makes one", house.data));
  }
  const bool root = geteuid() == 0;
  const std::uint32_t owner = about.st_uid;
  const net::Descriptor run = TRY(make_directory(house.data, "run", 0755, root ? 0 : geteuid()));
  const net::Descriptor lock = TRY(lock_house(house.data, run.get()));
  supervisor::Settings settings;
  settings.data = house.data;
  settings.run_directory = house.data + "/run";
  settings.owner_uid = owner;
  for (const Role& role : roles()) {
    const std::uint32_t uid = root ? role.uid : 0;
    if (*role.directory != '\0') {
      TRY(make_directory(house.data, role.directory, 0700, root ? role.uid : geteuid()));
    }
    std::vector<std::string> arguments = {"--data", house.data, "--uid", std::to_string(uid)};
    if (std::string_view(role.name) == "control") {
      arguments.insert(arguments.end(),
                       {"--config", house.config, "--owner", std::to_string(owner)});
    }
    settings.roles.push_back(
        {role.name, house.executables + "/gatehouse-" + role.name, arguments, role.peers});
  }
  auto loop = net::make_real_loop();
  auto supervisor = TRY(supervisor::Supervisor::make(*loop, std::move(settings)));
  log_info("the house starts", {{"data", house.data}, {"mode", root ? "root" : "single-user"}});
  return supervisor->run();
}

}  // namespace gatehouse::bin
