// SPDX-License-Identifier: Apache-2.0
#include "backup/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <ranges>

#include "base/encoding.h"
#include "base/key_file.h"
#include "base/time.h"

namespace gatehouse::backup {
namespace {

namespace fs = std::filesystem;

Failure broken(const std::string& path) {
  return failure_from_errno(errno, "restoring " + printable(path));
}

// The directory that is being made; what does not become the data directory is removed.
class Staging {
 public:
  static Result<Staging> make(const std::string& data) {
    std::string path = data + ".restoring-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return failure_from_errno(errno, "making " + path);
    return Staging(path);
  }
  Staging(Staging&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  Staging& operator=(Staging&&) = delete;
  ~Staging() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path_of(const Member& member) const {
    return member.path == "." ? path_ : path_ + "/" + member.path;
  }
  void keep() { path_.clear(); }

 private:
  explicit Staging(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<void> make_member(const Archive& archive, const Member& member, const std::string& path) {
  if (member.path == ".") return {};
  if (member.type == Type::kDirectory) {
    return mkdir(path.c_str(), 0700) == 0 ? Result<void>() : Result<void>(broken(path));
  }
  if (member.type == Type::kLink) {
    return symlink(member.target.c_str(), path.c_str()) == 0 ? Result<void>()
                                                             : Result<void>(broken(path));
  }
  const net::Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return broken(path);
  return archive.copy(member, file.get());
}

// After everything is made: a directory may be closed to its own maker, and its time is of what is
// in it. The owner before the mode, which chown(2) takes bits from.
Result<void> settle_member(const Member& member, const std::string& path) {
  if (geteuid() == 0 && lchown(path.c_str(), member.uid, member.gid) != 0) return broken(path);
  if (member.type != Type::kLink && chmod(path.c_str(), member.mode) != 0) return broken(path);
  const std::int64_t second = 1'000'000'000;
  const timespec changed{member.changed_ns / second, member.changed_ns % second};
  const std::array<timespec, 2> times = {changed, changed};
  static_cast<void>(utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
  return {};
}

Result<void> put_key(const Staging& staging, const std::string& from) {
  const net::Descriptor file(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return failure_from_errno(errno, "opening the key " + from);
  std::array<char, kKeyFileMost> raw{};
  const ssize_t got = read(file.get(), raw.data(), raw.size());
  const std::string_view key_file(raw.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  const auto parsed = parse_key_file(kRootKeyFormat, key_file);
  struct stat vault{};
  const std::string folder = staging.path() + "/vault";
  const std::string path = folder + "/root.key";
  Result<void> done;
  if (!parsed) {
    done = failure(parsed.error() == Error::kUnsupported ? Error::kUnsupported : Error::kInvalid,
                   from + ": " + parsed.error().message());
  } else if (stat(folder.c_str(), &vault) != 0) {
    done = failure(Error::kInvalid, "the backup has no vault to put a key into");
  } else {
    const net::Descriptor key(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!key.is_open() || write(key.get(), key_file.data(), key_file.size()) != got
        || (geteuid() == 0 && fchown(key.get(), vault.st_uid, vault.st_gid) != 0)) {
      done = broken(path);
    }
  }
  wipe(raw);
  return done;
}

// Held until the directory has its name, so that no house starts on what is renamed.
Result<net::Descriptor> lock_of(const std::string& data) {
  net::Descriptor lock(open((data + "/run/lock").c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (lock.is_open() && flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure(Error::kConflict,
                   "a gatehouse runs on " + data + "; stop it first, or restore elsewhere");
  }
  return lock;
}

// Where the way is free: nothing there, or an empty directory, or one that may be kept aside.
Result<void> check_way(const Target& target) {
  std::error_code error;
  const fs::file_status there = fs::symlink_status(target.data, error);
  if (there.type() == fs::file_type::not_found) return {};
  if (there.type() != fs::file_type::directory) {
    return failure(Error::kConflict, target.data + " is there and is no directory; name another");
  }
  if (target.keep_aside || fs::is_empty(target.data, error)) return {};
  return failure(Error::kConflict,
                 target.data + " is not empty; name another, or say --force, which keeps it aside");
}

// Another name for what is there; "" where nothing or nothing of worth is.
Result<std::string> put_aside(const Target& target) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target.data, error))) return std::string();
  if (rmdir(target.data.c_str()) == 0) return std::string();
  const std::string aside =
      fmt::format("{}.before-restore-{}", target.data, WallTime::now().unix_millis());
  if (rename(target.data.c_str(), aside.c_str()) != 0) return broken(target.data);
  return aside;
}

Result<void> sync_all(const std::string& directory) {
  const net::Descriptor at(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at.is_open() || syncfs(at.get()) != 0) return failure_from_errno(errno, "syncing it");
  return {};
}

}  // namespace

Result<Restored> restore(const Archive& archive, const Target& target) {
  TRY(check_way(target));
  const net::Descriptor lock = TRY(lock_of(target.data));
  const Manifest& manifest = archive.manifest();
  if (manifest.has_key && !target.key.empty()) {
    return failure(Error::kInvalid, "the backup has its key already; leave --key out");
  }
  Staging staging = TRY(Staging::make(target.data));
  Restored restored;
  for (const Member& member : manifest.members) {
    TRY(make_member(archive, member, staging.path_of(member)));
    if (member.type == Type::kFile) ++restored.files;
  }
  for (const Member& member : std::views::reverse(manifest.members)) {
    TRY(settle_member(member, staging.path_of(member)));
  }
  if (!target.key.empty()) TRY(put_key(staging, target.key));
  restored.has_key = manifest.has_key || !target.key.empty();
  TRY(sync_all(staging.path()));
  restored.kept_aside = TRY(put_aside(target));
  if (rename(staging.path().c_str(), target.data.c_str()) != 0) {
    const Failure why = broken(target.data);
    if (!restored.kept_aside.empty()) {
      static_cast<void>(rename(restored.kept_aside.c_str(), target.data.c_str()));
    }
    return why;
  }
  staging.keep();
  TRY(sync_all(target.data));
  return restored;
}

}  // namespace gatehouse::backup
