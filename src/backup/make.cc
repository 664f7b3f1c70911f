// SPDX-License-Identifier: Apache-2.0
#include "backup/make.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include "audit/segment.h"
#include "backup/archive.h"
#include "base/encoding.h"
#include "base/time.h"

namespace gatehouse::backup {
namespace {

constexpr int kDeepMost = 200;          // directories in directories
constexpr int kTriesMost = 20;          // to read the end of a log that is being written
constexpr std::size_t kToldMost = 100;  // of what is left out
constexpr std::uint64_t kSegmentMost = 1ULL << 32;  // bytes

Member member_of(const std::string& path, Type type, const struct stat& about) {
  Member member;
  member.path = path;
  member.type = type;
  member.mode = about.st_mode & 07777U;
  member.uid = about.st_uid;
  member.gid = about.st_gid;
  member.changed_ns = std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec;
  if (type == Type::kFile) member.size = static_cast<std::uint64_t>(about.st_size);
  return member;
}

// Sorted. Of a directory that is open, as it is: names of it may be anybody's.
Result<std::vector<std::string>> names_in(int directory) {
  const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(again < 0 ? nullptr : fdopendir(again), closedir);
  if (!open) return failure_from_errno(errno, "listing a directory");
  std::vector<std::string> names;
  while (const dirent* entry = readdir(open.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Maker {
 public:
  Maker(const Wish& wish, Writer& writer) : wish_(wish), writer_(writer) {}

  Result<Made> run() {
    root_ = net::Descriptor(open(wish_.data.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat about{};
    if (!root_.is_open() || fstat(root_.get(), &about) != 0) {
      return failure_from_errno(errno, "opening the data directory " + wish_.data);
    }
    TRY(writer_.add(member_of(".", Type::kDirectory, about)));
    TRY(state());
    TRY(files_of("vault", [&](const std::string& name) {
      return name.ends_with(".sealed") || (wish_.with_key && name == "root.key");
    }));
    const bool has_key = writer_.has("vault/root.key");
    if (wish_.with_key && !has_key) {
      return failure(Error::kNotFound, "there is no vault/root.key to put into the backup");
    }
    TRY(volumes());
    TRY(files_of("run", [](const std::string& name) { return name == "kills"; }));
    TRY(config());
    TRY(log());
    Manifest manifest;
    manifest.made_by = wish_.made_by;
    manifest.made_unix_ms = WallTime::now().unix_millis();
    manifest.house = house_;
    manifest.was_running = static_cast<bool>(wish_.take_state);
    manifest.has_key = has_key;
    made_.bytes = TRY(writer_.finish(std::move(manifest)));
    return std::move(made_);
  }

 private:
  // None where there is no such directory: a role that never started made none.
  Result<net::Descriptor> directory(int in, const std::string& name, const std::string& path) {
    net::Descriptor at(openat(in, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!at.is_open() && errno == ENOENT) return at;
    struct stat about{};
    if (!at.is_open() || fstat(at.get(), &about) != 0) {
      return failure_from_errno(errno, "opening " + printable(path));
    }
    TRY(writer_.add(member_of(path, Type::kDirectory, about)));
    return at;
  }

  // A file that is there when it is listed may be gone when it is opened: a record that was
  // removed.
  Result<net::Descriptor> file(int in, const std::string& name, struct stat& about) {
    net::Descriptor at(
        openat(in, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!at.is_open() && errno == ENOENT) return at;
    if (!at.is_open() || fstat(at.get(), &about) != 0) {
      return failure_from_errno(errno, "opening " + printable(name));
    }
    return at;
  }

  template <class Wanted>
  Result<void> files_of(const std::string& name, Wanted wanted) {
    const net::Descriptor at = TRY(directory(root_.get(), name, name));
    if (!at.is_open()) return {};
    for (const std::string& each : TRY(names_in(at.get()))) {
      if (wanted(each)) TRY(regular(at.get(), each, name + "/" + each));
    }
    return {};
  }
  Result<void> regular(int in, const std::string& name, const std::string& path) {
    struct stat about{};
    const net::Descriptor at = TRY(file(in, name, about));
    if (!at.is_open()) return {};
    if (!S_ISREG(about.st_mode)) return leave_out(path, "it is no plain file");
    if (static_cast<std::uint64_t>(about.st_size) > kFileMost) {
      return leave_out(path, fmt::format("it has more than {} bytes", kFileMost));
    }
    ++made_.files;
    return writer_.add_contents(member_of(path, Type::kFile, about), at.get());
  }
  Result<void> leave_out(const std::string& path, std::string_view why) {
    if (made_.left_out.size() < kToldMost) {
      made_.left_out.push_back(fmt::format("{}: {}", printable(path), why));
    }
    return {};
  }

  Result<void> state() {
    const auto is_state = [&](const std::string& name) {
      return !wish_.take_state && name.starts_with("state.db");  // with its write-ahead log
    };
    TRY(files_of("state", is_state));
    if (!wish_.take_state) return {};
    const net::Descriptor memory = TRY(wish_.take_state());
    struct stat about{};
    struct stat owner{};
    if (fstat(memory.get(), &about) != 0 || fstatat(root_.get(), "state", &owner, 0) != 0) {
      return failure_from_errno(errno, "looking at the state");
    }
    Member member = member_of("state/state.db", Type::kFile, about);
    member.mode = 0600;
    member.uid = owner.st_uid;
    member.gid = owner.st_gid;
    ++made_.files;
    return writer_.add_contents(std::move(member), memory.get());
  }

  // Agents write there at this moment: nothing is followed, and all names are taken from
  // directories that are open.
  Result<void> volumes() {
    const net::Descriptor at = TRY(directory(root_.get(), "volumes", "volumes"));
    if (!at.is_open()) return {};
    return tree(at.get(), "volumes", 0);
  }
  Result<void> tree(int at, const std::string& path, int deep) {
    for (const std::string& name : TRY(names_in(at))) {
      const std::string below = path + "/" + name;
      struct stat about{};
      if (fstatat(at, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone again
      if (S_ISDIR(about.st_mode) && (deep >= kDeepMost || below.size() > PATH_MAX / 2)) {
        TRY(leave_out(below, "it lies too deep"));
      } else if (S_ISDIR(about.st_mode)) {
        const auto inside = directory(at, name, below);
        if (inside && inside->is_open()) TRY(tree(inside->get(), below, deep + 1));
        if (!inside && inside.error() == Error::kExhausted) return Failure(inside.error());
        if (!inside) TRY(leave_out(below, inside.error().message()));
      } else if (S_ISLNK(about.st_mode)) {
        TRY(link(at, name, member_of(below, Type::kLink, about)));
      } else if (S_ISREG(about.st_mode)) {
        TRY(regular(at, name, below));
      } else {
        TRY(leave_out(below, "it is no plain file"));
      }
    }
    return {};
  }
  Result<void> link(int at, const std::string& name, Member member) {
    std::string target(PATH_MAX, '\0');
    const ssize_t n = readlinkat(at, name.c_str(), target.data(), target.size());
    if (n <= 0) return {};  // gone again
    target.resize(static_cast<std::size_t>(n));
    member.target = std::move(target);
    return writer_.add(std::move(member));
  }

  Result<void> config() {
    if (wish_.config.empty()) return {};
    struct stat about{};
    const net::Descriptor at(open(wish_.config.c_str(), O_RDONLY | O_CLOEXEC));
    if (!at.is_open() || fstat(at.get(), &about) != 0) {
      return failure_from_errno(errno, "opening " + wish_.config);
    }
    ++made_.files;
    return writer_.add_contents(member_of("gatehouse.yaml", Type::kFile, about), at.get());
  }

  Result<void> log() {
    const net::Descriptor at = TRY(directory(root_.get(), "audit", "audit"));
    if (!at.is_open()) return {};
    std::vector<std::string> names = TRY(names_in(at.get()));
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".seg"); });
    for (std::size_t i = 0; i < names.size(); ++i) {
      TRY(segment(at.get(), names[i], i + 1 == names.size()));
    }
    return {};
  }
  // Its whole groups: what is behind them was never acknowledged.
  Result<void> segment(int in, const std::string& name, bool is_last) {
    for (int tries = 0; tries < kTriesMost; ++tries) {
      struct stat about{};
      const net::Descriptor at = TRY(file(in, name, about));
      if (!at.is_open()) return {};
      const std::string bytes = TRY(whole_file(at.get(), about, name));
      if (bytes.find_first_not_of('\0') == std::string::npos) return {};  // being made
      const auto header = audit::parse_segment_header(bytes);
      if (!header && header.error() == Error::kUnsupported) {
        return Failure(header.error().in("audit/" + name + ": no backup is made"));
      }
      const audit::WholePart whole = audit::whole_part(bytes);
      // A group whose beginning was read before it was written, and its end after, looks damaged.
      if (!header || (is_last && whole.tail == audit::Tail::kDamaged)) continue;
      if (house_.empty()) house_ = to_hex(header->salt);
      ++made_.files;
      return writer_.add_bytes(member_of("audit/" + name, Type::kFile, about),
                               std::string_view(bytes).substr(0, whole.end));
    }
    return failure(Error::kCorrupt,
                   fmt::format("the audit log is damaged in {}, and no backup is made of it; "
                               "`gatehouse audit verify` says where. Keep the directory as it is",
                               name));
  }
  static Result<std::string> whole_file(int at, const struct stat& about, const std::string& name) {
    const auto size = static_cast<std::uint64_t>(about.st_size);
    if (size > kSegmentMost) return failure(Error::kTooLarge, name + " is no segment of ours");
    std::string bytes(size, '\0');
    for (std::size_t done = 0; done < size;) {
      const ssize_t n = pread(at, bytes.data() + done, size - done, static_cast<off_t>(done));
      if (n < 0) return failure_from_errno(errno, "reading " + name);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return bytes;
  }

  const Wish& wish_;
  Writer& writer_;
  net::Descriptor root_;
  std::string house_;
  Made made_;
};

}  // namespace

Result<Made> make_backup(const Wish& wish, const std::string& path) {
  const auto writer = TRY(Writer::create(path));
  return Maker(wish, *writer).run();
}

}  // namespace gatehouse::backup
