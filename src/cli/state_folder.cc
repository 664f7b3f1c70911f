// SPDX-License-Identifier: Apache-2.0
#include "cli/state_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/secret.h"
#include "net/descriptor.h"

namespace gatehouse::cli {

Result<std::string> state_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/gatehouse";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    return failure(Error::kNotFound,
                   "neither HOME nor XDG_STATE_HOME is set, so there is no place to keep anything");
  }
  return std::string(home) + "/.local/state/gatehouse";
}

Result<void> make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return failure_from_errno(errno, "making " + part);
    }
    if (at == std::string::npos) return {};
  }
}

Result<std::string> private_file_text(const std::string& path, std::size_t most,
                                      std::string_view remedy) {
  const net::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  // Under sudo(8) HOME may be another's: what lies there is not this person's.
  if (!file.is_open() && (errno == ENOENT || errno == EACCES)) return "";
  struct stat about{};
  if (!file.is_open() || fstat(file.get(), &about) != 0) {
    return failure_from_errno(errno, "reading " + path);
  }
  if ((about.st_mode & 077) != 0 || about.st_uid != geteuid()) {
    return failure(Error::kDenied, path + " " + std::string(remedy));
  }
  std::string text;
  std::array<char, 4096> bytes{};
  while (true) {
    const ssize_t n = read(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "reading " + path);
    if (n == 0) break;
    text.append(bytes.data(), static_cast<std::size_t>(n));
    if (text.size() > most) return failure(Error::kTooLarge, path + " is too large");
  }
  wipe(bytes);
  return text;
}

Result<void> write_all(int fd, std::string_view text, std::string_view what) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "writing " + std::string(what));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> replace_private_file(const std::string& path, std::string_view text) {
  const std::string place = path.substr(0, path.rfind('/'));
  TRY(make_folders(place));
  std::string fresh = path + ".XXXXXX";
  const net::Descriptor file(mkostemp(fresh.data(), O_CLOEXEC));  // 0600
  if (!file.is_open()) return failure_from_errno(errno, "writing in " + place);
  const Result<void> written = write_all(file.get(), text, path);
  if (!written || fsync(file.get()) != 0 || rename(fresh.c_str(), path.c_str()) != 0) {
    const int why = errno;
    unlink(fresh.c_str());
    return written ? failure_from_errno(why, "replacing " + path) : written;
  }
  const net::Descriptor folder(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || fsync(folder.get()) != 0) {
    return failure_from_errno(errno, "syncing " + place);
  }
  return {};
}

}  // namespace gatehouse::cli
