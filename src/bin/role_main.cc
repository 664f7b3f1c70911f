// SPDX-License-Identifier: Apache-2.0
#include "bin/role_main.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/log.h"
#include "base/sanitizer.h"
#include "bin/planted_faults.h"

namespace gatehouse::bin {
namespace {

// Every descriptor that is open now: the role opened it, or it is its line to the supervisor (all
// others were closed when the supervisor started it).
std::vector<int> open_descriptors() {
  std::vector<int> list;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return list;
  while (const dirent* entry = readdir(directory)) {
    int fd = -1;
    const std::string_view name = entry->d_name;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), fd);
    if (parsed.ec == std::errc() && fd > 2 && fd != dirfd(directory)) list.push_back(fd);
  }
  closedir(directory);
  return list;
}

LogForm log_form() {
  const char* wanted = std::getenv("GATEHOUSE_LOG");
  return wanted != nullptr && std::strcmp(wanted, "json") == 0 ? LogForm::kJson : LogForm::kText;
}

}  // namespace

void begin_log(const char* name) { log_setup(name, LogLevel::kInfo, log_form()); }

RoleFlags begin_role(const char* name, int argc, char** argv) {
  RoleFlags flags;
  begin_log(name);
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes by write(2)
  // It ends by its line to the supervisor alone then, and in order: leaks are looked for at the
  // end.
  if constexpr (kSanitized) signal(SIGTERM, SIG_IGN);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string_view value = argv[i + 1];
    if (flag == "--data") {
      flags.data = value;
    } else if (flag == "--name") {
      begin_log(argv[i + 1]);
    } else if (flag == "--landlock") {
      flags.no_landlock = value == "optional";
    } else if (flag == "--uid") {
      std::from_chars(value.data(), value.data() + value.size(), flags.uid);
    }
  }
  if (argc < 3 || argc % 2 == 0 || flags.data.empty()) {
    std::fprintf(stderr, "gatehouse-%s: this is a role of the house; `gatehouse up` starts it\n",
                 name);
    std::exit(64);
  }
  return flags;
}

ipc::Confinement confinement_of(const RoleFlags& flags) {
  ipc::Confinement plan;
  plan.uid = flags.uid;
  plan.no_landlock = flags.no_landlock;
  return plan;
}

ipc::Confinement dialling(const RoleFlags& flags, ipc::Network network) {
  ipc::Confinement plan = confinement_of(flags);
  plan.network = network;
  plan.readable = {"/etc/resolv.conf", "/etc/hosts",   "/etc/nsswitch.conf",
                   "/etc/ssl",         "/usr/lib/ssl", "/usr/share/ca-certificates"};
  return plan;
}

std::string_view flag_of(int argc, char** argv, std::string_view name) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (name == argv[i]) return argv[i + 1];
  }
  return "";
}

void settle_role(const RoleFlags& flags, const char* directory) {
  const std::string place = *directory == '\0' ? "/" : flags.data + "/" + directory;
  if (chdir(place.c_str()) != 0) {
    log_error("this role cannot enter its directory",
              {{"directory", place}, {"why", std::strerror(errno)}});
    std::exit(70);
  }
  if (const Result<void> dropped = ipc::drop_root(flags.uid); !dropped) {
    log_error("this role cannot have a uid of its own", {{"why", dropped.error().message()}});
    std::exit(70);
  }
}

namespace {

// A role allocates and frees much and small: it keeps some room instead of asking the kernel anew,
// and bodies of requests come from the heap too, not each from a mapping of its own.
void tune_heap() {
  mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
  mallopt(M_TOP_PAD, 1024 * 1024);
  mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
  mallopt(M_MXFAST, 0);  // the thread's cache does that; these are merged at each large free
}

Result<void> run(ipc::Role& role, std::function<void()> ending) {
  if (!ending) return role.run();
  TRY(role.begin(net::Descriptor(ipc::kSupervisorDescriptor), std::move(ending)));
  role.loop().run();
  return {};
}

int live_confined(ipc::Role& role, const Result<void>& confined,
                  std::function<void()> ending = {}) {
  tune_heap();
  if (!confined) {
    log_error("this role cannot be confined, so it does not start",
              {{"why", confined.error().message()}});
    return 70;
  }
  if (const Result<void> lived = run(role, std::move(ending)); !lived) {
    log_error("this role cannot go on", {{"why", lived.error().message()}});
    return 70;
  }
  return 0;
}

}  // namespace

int live(ipc::Role& role, ipc::Confinement plan) { return live_until(role, std::move(plan), {}); }

int live_until(ipc::Role& role, ipc::Confinement plan, std::function<void()> ending) {
  std::optional<PlantedFaults> faults;
  if constexpr (kSanitized) faults.emplace(role.loop());
  const std::vector<int> open = open_descriptors();
  plan.keep.insert(plan.keep.end(), open.begin(), open.end());
  return live_confined(role, ipc::confine(plan), std::move(ending));
}

int live_as_builder(ipc::Role& role, ipc::RootOf root) {
  std::optional<PlantedFaults> faults;
  if constexpr (kSanitized) faults.emplace(role.loop());
  return live_confined(role, ipc::confine_builder(open_descriptors(), root));
}

Result<std::string> own_directory() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return failure_from_errno(errno, "finding this executable");
  const std::string text(path.data(), static_cast<std::size_t>(size));
  return text.substr(0, text.rfind('/'));
}

}  // namespace gatehouse::bin
