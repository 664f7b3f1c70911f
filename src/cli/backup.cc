// SPDX-License-Identifier: Apache-2.0
// `gatehouse backup` and `gatehouse restore`.
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "audit/entry.h"
#include "audit/log.h"
#include "backup/make.h"
#include "backup/restore.h"
#include "base/encoding.h"
#include "base/time.h"
#include "cli/client.h"
#include "cli/verbs.h"
#include "ipc/cli_control.h"

namespace gatehouse::cli {
namespace {

namespace fs = std::filesystem;

// A new name in a directory: gatehouse-20261126T160000Z.backup.
std::string file_of(const std::string& named) {
  std::error_code ignored;
  if (!fs::is_directory(named, ignored)) return named;
  std::string name = "gatehouse-";
  for (const char c : WallTime::now().text().substr(0, 19)) {
    if (c != '-' && c != ':') name += c;
  }
  return named + "/" + name + "Z.backup";
}

// The config that goes with that data directory, if one can be found: the one that was named, or
// one that names it.
std::string config_of(const Options& options, const Wiring& wiring, const std::string& data) {
  const auto path = config_path(options);
  if (!path) return "";
  if (!options.config.empty()) return *path;
  const auto named = wiring.data_of(*path);
  return named && *named == data ? *path : "";
}

// Held while a house that does not run is copied, so that none starts meanwhile. A house that was
// restored and never started has no such file yet: its own user makes it, as a start does. Not open
// where it is not there and cannot be made. Errors: one runs, or is copied.
Result<net::Descriptor> lock_of(const std::string& data) {
  const net::Descriptor run(
      open((data + "/run").c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  const bool is_own = run.is_open() && fstat(run.get(), &about) == 0 && about.st_uid == geteuid();
  const int make = is_own ? O_CREAT : 0;
  net::Descriptor lock(openat(run.get(), "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC | make, 0600));
  if (lock.is_open() && flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure(Error::kUnavailable,
                   "the gatehouse runs and its control is away, or another backup is being made; "
                   "try again in a moment");
  }
  return lock;
}

Result<void> append_to_log(const audit::Entry& entry) {
  const auto files = TRY(net::open_file_system("."));
  const auto log = TRY(audit::Log::open(*files));
  TRY(log->append(TRY(audit::encode(entry))));
  return log->commit();
}

// As the audit role, in its directory: what is written is its own, and what it may have laid there
// leads no further than it could go itself. Of a process of its own.
Result<void> append_as_role(const std::string& directory, const audit::Entry& entry) {
  struct stat owner{};
  if (chdir(directory.c_str()) != 0 || stat(".", &owner) != 0) {
    return failure_from_errno(errno, "entering " + directory);
  }
  if (geteuid() == 0
      && (setgroups(0, nullptr) != 0 || setresgid(owner.st_gid, owner.st_gid, owner.st_gid) != 0
          || setresuid(owner.st_uid, owner.st_uid, owner.st_uid) != 0)) {
    return failure_from_errno(errno, "becoming the owner of " + directory);
  }
  return append_to_log(entry);
}

// As control does it where the house runs: on record before anything is copied, and so in the
// backup. A house that never started has no log. With the house's lock.
Result<void> record_backup(const std::string& data, bool with_key, uid_t by) {
  const std::string directory = data + "/audit";
  std::error_code ignored;
  if (!fs::exists(directory, ignored)) return {};
  audit::Entry entry;
  entry.kind = audit::Kind::kAdministered;
  entry.wall_ns = WallTime::now().unix_nanos();
  entry.add("who", fmt::format("uid {}", by));
  entry.add("act", "backup");
  entry.add("object", with_key ? "the house, with its key" : "the house");
  entry.add("outcome", "done");
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return failure_from_errno(errno, "a pipe");
  const net::Descriptor told(ends[0]);
  net::Descriptor tell(ends[1]);
  const pid_t child = fork();
  if (child < 0) return failure_from_errno(errno, "a process that writes to the log");
  if (child == 0) {
    const Result<void> done = append_as_role(directory, entry);
    const std::string why = done ? "" : done.error().message();
    [[maybe_unused]] const ssize_t written = write(tell.get(), why.data(), why.size());
    _exit(done ? 0 : 1);
  }
  tell.reset();
  std::array<char, 1024> why{};
  const ssize_t size = read(told.get(), why.data(), why.size());
  int status = 0;
  if (waitpid(child, &status, 0) == child && status == 0) return {};
  return failure(Error::kInternal, std::string(why.data(), size > 0 ? std::size_t(size) : 0));
}

Result<net::Descriptor> state_of(Client& client, bool with_key) {
  std::vector<net::Descriptor> given;
  TRY(client.call_with_fds(ipc::TakeState{with_key}, &given));
  if (given.size() != 1) return failure(Error::kUnavailable, "the gatehouse gave no state");
  return std::move(given.front());
}

// What follows from where the key is.
std::string words_on_key(bool with_key, const std::string& data) {
  if (with_key) {
    return "The vault's root key is in it: whoever reads this file has every credential.";
  }
  return fmt::format(
      "The vault's root key is not in it. Keep {}/vault/root.key in another place: without it no "
      "connection opens again.",
      data);
}

// Where a restore goes: it need not be there.
Result<std::string> target_of(const Options& options, const Wiring& wiring) {
  std::string data = options.data;
  if (const char* named = std::getenv("GATEHOUSE_DATA"); data.empty() && named != nullptr) {
    data = named;
  }
  if (data.empty()) data = TRY(wiring.data_of(TRY(config_path(options))));
  std::string path = fs::absolute(data).lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// Who has what, in the house that was backed up.
struct Owners {
  std::optional<std::uint32_t> house;
  std::optional<std::uint32_t> vault;
  // Which may be any uid.
  [[nodiscard]] bool are_one() const { return vault == house; }
};
Owners owners_of(const backup::Manifest& manifest) {
  Owners owners;
  for (const backup::Member& member : manifest.members) {
    if (member.path == ".") owners.house = member.uid;
    if (member.path == "vault") owners.vault = member.uid;
  }
  return owners;
}

void tell_check(const Options& options, const backup::Manifest& manifest) {
  print(told(options.form,
             fmt::format("{} is whole: of house {}, made {} by gatehouse {}; the vault's root key "
                         "is {}in it",
                         options.file, manifest.house.empty() ? "(no log yet)" : manifest.house,
                         time_of(manifest.made_unix_ms), printable(manifest.made_by),
                         manifest.has_key ? "" : "not "),
             {{"file", options.file},
              {"house", manifest.house},
              {"made", time_of(manifest.made_unix_ms)},
              {"made_by", manifest.made_by},
              {"has_key", manifest.has_key},
              {"was_running", manifest.was_running},
              {"members", std::uint64_t{manifest.members.size()}}}));
}

}  // namespace

Result<int> make_backup(const Options& options, const Wiring& wiring) {
  backup::Wish wish;
  wish.data = TRY(data_directory(options, wiring));
  wish.config = config_of(options, wiring, wish.data);
  wish.made_by = GATEHOUSE_VERSION;
  wish.with_key = options.with_key;
  auto client = Client::connect(wish.data + "/run/control.sock");
  net::Descriptor lock;
  if (client) {
    wish.take_state = [&] { return state_of(*client, options.with_key); };
  } else {
    lock = TRY(lock_of(wish.data));
  }
  const uid_t by = geteuid();
  TRY(wiring.enter_house_of(wish.data + "/audit"));
  // Where nothing can be written any more, a backup may be what is wanted most.
  Result<void> recorded;
  if (!client && lock.is_open()) {
    recorded = record_backup(wish.data, options.with_key, by);
  } else if (!client) {
    recorded =
        failure(Error::kUnavailable, "there is no run/lock, which keeps others from writing");
  }
  const std::string file = file_of(options.file);
  const backup::Made made = TRY(backup::make_backup(wish, file));
  std::string text = fmt::format("wrote {}: {} files, {} bytes\n{}", file, made.files, made.bytes,
                                 words_on_key(options.with_key, wish.data));
  for (const std::string& line : made.left_out) text += "\nleft out: " + line;
  if (!recorded) text += "\nnot on record in the log: " + recorded.error().message();
  print(told(options.form, text,
             {{"file", file},
              {"files", made.files},
              {"bytes", made.bytes},
              {"has_key", options.with_key},
              {"on_record", recorded.has_value()},
              {"left_out", std::uint64_t{made.left_out.size()}}}));
  return 0;
}

Result<int> restore_backup(const Options& options, const Wiring& wiring) {
  const backup::Archive archive = TRY(backup::Archive::open(options.file));
  if (options.only_check) {
    tell_check(options, archive.manifest());
    return 0;
  }
  const std::string data = TRY(target_of(options, wiring));
  const Owners owners = owners_of(archive.manifest());
  if (owners.vault && !owners.are_one()) TRY(wiring.enter_house_to_be(*owners.vault));
  const backup::Restored restored =
      TRY(backup::restore(archive, {data, options.force, options.key}));
  std::string text = fmt::format("restored {}: {} files", data, restored.files);
  if (!restored.kept_aside.empty()) {
    text += fmt::format("\nwhat was there is now {}", restored.kept_aside);
  }
  if (geteuid() == 0 && owners.vault && owners.are_one() && *owners.house != 0) {
    text += fmt::format(
        "\nIt is the house of uid {}, who started it without root: start it as that user. As root "
        "it does not start",
        *owners.house);
  }
  if (!restored.has_key) {
    text += fmt::format(
        "\nPut the vault's root key to {}/vault/root.key, with mode 0600 and the "
        "owner of that directory, before the gatehouse is started",
        data);
  }
  print(told(options.form, text,
             {{"data", data},
              {"files", restored.files},
              {"kept_aside", restored.kept_aside},
              {"has_key", restored.has_key}}));
  return 0;
}

}  // namespace gatehouse::cli
