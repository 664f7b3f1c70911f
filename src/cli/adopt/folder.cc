// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/encoding.h"
#include "base/random.h"
#include "cli/state_folder.h"

namespace gatehouse::cli::adopt {
namespace {

using Listing = std::vector<std::pair<std::string, unsigned char>>;

net::Descriptor open_folder(int parent, const std::string& name) {
  return net::Descriptor(
      openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Names and their d_type, without "." and ".."; empty where it cannot be read.
Listing listing_of(int folder) {
  Listing names;
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = again < 0 ? nullptr : fdopendir(again);
  if (stream == nullptr) {
    if (again >= 0) close(again);
    return names;
  }
  while (const dirent* entry = readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    struct stat about{};
    if (type == DT_UNKNOWN && fstatat(folder, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0) {
      type = S_ISDIR(about.st_mode) ? DT_DIR : S_ISREG(about.st_mode) ? DT_REG : DT_LNK;
    }
    names.emplace_back(name, type);
  }
  closedir(stream);
  std::ranges::sort(names);
  return names;
}

void match(int folder, const std::string& above, std::string_view pattern,
           std::vector<std::string>& out) {
  const std::size_t slash = pattern.find('/');
  const std::string segment(pattern.substr(0, slash));
  const bool is_last = slash == std::string_view::npos;
  for (const auto& [name, type] : listing_of(folder)) {
    if (out.size() > kFilesMost) return;
    if (fnmatch(segment.c_str(), name.c_str(), 0) != 0) continue;
    if (is_last && type != DT_DIR) out.push_back(above + name);  // a link is told by who reads it
    if (is_last || type != DT_DIR) continue;
    const net::Descriptor inner = open_folder(folder, name);
    if (inner.is_open()) match(inner.get(), above + name + "/", pattern.substr(slash + 1), out);
  }
}

Result<std::string> text_in(int fd, std::size_t most, const std::string& name) {
  std::string text;
  text.reserve(64 * 1024);
  std::array<char, 16 * 1024> bytes{};
  while (true) {
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "reading " + name);
    if (n == 0) break;
    if (text.size() + static_cast<std::size_t>(n) > most) {
      return failure(Error::kTooLarge, fmt::format("{} has more than {} bytes", name, most));
    }
    text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  wipe(bytes);
  return text;
}

}  // namespace

Result<Folder> Folder::open(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return failure_from_errno(errno, "looking for " + path);
  std::string absolute = resolved;
  std::free(resolved);
  net::Descriptor fd(::open(absolute.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.is_open() && errno == ENOTDIR) {
    return failure(Error::kInvalid, path + " is no directory; name the agent's own, such as "
                                           "~/.openclaw, or the one that holds the .env");
  }
  if (!fd.is_open()) return failure_from_errno(errno, "opening " + path);
  return Folder(std::move(absolute), std::move(fd));
}

Result<std::vector<std::string>> Folder::matching(std::string_view pattern) const {
  std::vector<std::string> names;
  match(fd_.get(), "", pattern, names);
  if (names.size() > kFilesMost) {
    return failure(Error::kTooMany,
                   fmt::format("more than {} files of {} are like {}", kFilesMost, path_, pattern));
  }
  return names;
}

Result<std::pair<net::Descriptor, std::string>> Folder::parent_of(const std::string& name) const {
  net::Descriptor at(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  std::string_view rest = name;
  for (std::size_t slash = rest.find('/'); slash != std::string_view::npos;
       slash = rest.find('/')) {
    const std::string part(rest.substr(0, slash));
    if (part.empty() || part == "." || part == "..") {
      return failure(Error::kInvalid, name + " leads out of " + path_);
    }
    at = open_folder(at.get(), part);
    if (!at.is_open()) return failure_from_errno(errno, "opening " + path_ + "/" + name);
    rest.remove_prefix(slash + 1);
  }
  if (rest.empty() || rest == "." || rest == "..") {
    return failure(Error::kInvalid, name + " is no file of " + path_);
  }
  return std::pair(std::move(at), std::string(rest));
}

Result<net::Descriptor> Folder::open_checked(int parent, const std::string& leaf,
                                             const std::string& name, struct stat& about) const {
  const std::string full = path_ + "/" + name;
  net::Descriptor file(
      openat(parent, leaf.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open() && errno == ELOOP) {
    return failure(Error::kInvalid, full + " is a symbolic link, which is not followed; adopt the "
                                           "directory that it leads to");
  }
  if (!file.is_open() || fstat(file.get(), &about) != 0) {
    return failure_from_errno(errno, "reading " + full);
  }
  if (!S_ISREG(about.st_mode)) return failure(Error::kInvalid, full + " is no regular file");
  if (about.st_uid != geteuid() && geteuid() != 0) {
    return failure(Error::kDenied, fmt::format("{} belongs to uid {}; adopt it as that user or as "
                                               "root",
                                               full, about.st_uid));
  }
  if (about.st_nlink > 1) {
    return failure(Error::kInvalid, full + " has another name (a hard link), which would keep the "
                                           "keys; remove one of them");
  }
  return file;
}

Result<std::optional<PrivateText>> Folder::read(const std::string& name) const {
  const auto [parent, leaf] = TRY(parent_of(name));
  struct stat about{};
  if (fstatat(parent.get(), leaf.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
    return std::nullopt;
  }
  const net::Descriptor file = TRY(open_checked(parent.get(), leaf, name, about));
  return PrivateText(TRY(text_in(file.get(), kFileMost, path_ + "/" + name)));
}

Result<void> Folder::check(const std::string& name) const {
  const auto [parent, leaf] = TRY(parent_of(name));
  struct stat about{};
  TRY(open_checked(parent.get(), leaf, name, about));
  return {};
}

Result<void> Folder::replace(const std::string& name, std::string_view before,
                             std::string_view after) const {
  const auto [parent, leaf] = TRY(parent_of(name));
  const std::string full = path_ + "/" + name;
  struct stat about{};
  const net::Descriptor old = TRY(open_checked(parent.get(), leaf, name, about));
  const PrivateText now(TRY(text_in(old.get(), kFileMost, full)));
  if (now.view() != before) {
    return failure(Error::kConflict, full + " was changed meanwhile; do it again");
  }
  std::array<std::uint8_t, 8> random{};
  fill_random(random);
  const std::string fresh = "." + leaf + ".gatehouse-" + to_hex(random);
  const net::Descriptor file(openat(parent.get(), fresh.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return failure_from_errno(errno, "writing beside " + full);
  const Result<void> written = write_all(file.get(), after, full);
  if (!written || fchown(file.get(), about.st_uid, about.st_gid) != 0
      || fchmod(file.get(), about.st_mode & 07777) != 0 || fsync(file.get()) != 0
      || renameat(parent.get(), fresh.c_str(), parent.get(), leaf.c_str()) != 0) {
    const int why = errno;
    unlinkat(parent.get(), fresh.c_str(), 0);
    return written ? failure_from_errno(why, "replacing " + full) : written;
  }
  if (fsync(parent.get()) != 0) return failure_from_errno(errno, "syncing " + path_);
  return {};
}

}  // namespace gatehouse::cli::adopt
