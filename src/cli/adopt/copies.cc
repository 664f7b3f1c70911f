// SPDX-License-Identifier: Apache-2.0
// Where else a key lies, and who has the folder's files open.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "cli/adopt/folder.h"

namespace gatehouse::cli::adopt {
namespace {

constexpr std::size_t kLookedAtMost = 20'000;                  // files
constexpr std::size_t kBytesMost = 4ULL * 1024 * 1024 * 1024;  // of all of them
constexpr int kDepthMost = 24;
constexpr std::size_t kPiece = 1024 * 1024;
constexpr std::size_t kShapeMost = 512;  // of a key that is told by its shape, across two pieces
constexpr std::array<const char*, 3> kHistories = {".bash_history", ".zsh_history",
                                                   ".local/share/fish/fish_history"};

// In files that nothing is known of, chance has to be ruled out: a word has digits and letters of
// both cases, as keys do and names seldom.
bool is_sure(std::string_view word) {
  const auto has = [&](char first, char last) {
    return std::ranges::any_of(word, [&](char c) { return c >= first && c <= last; });
  };
  return has('0', '9') && has('a', 'z') && (has('A', 'Z') || word.contains('_'));
}

class Search {
 public:
  Search(const std::vector<const Secret*>& values, const std::set<std::string>& read_before,
         Copies& copies)
      : values_(values), read_before_(read_before), copies_(copies) {
    for (const Secret* value : values) longest_ = std::max(longest_, value->size());
    piece_.resize(kPiece + longest_);
  }
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;
  ~Search() { wipe(piece_); }

  void below(int folder, const std::string& above, int depth) {
    DIR* stream = depth > kDepthMost ? nullptr : fdopendir(folder);
    if (stream == nullptr) {
      copies_.is_whole = false;
      close(folder);
      return;
    }
    while (const dirent* entry = readdir(stream)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const int fd =
          openat(dirfd(stream), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
      if (fd < 0) {
        // A link or a socket holds nothing itself.
        if (errno != ELOOP && errno != ENXIO) copies_.is_whole = false;
        continue;
      }
      struct stat about{};
      if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) {
        below(fd, above + name + "/", depth + 1);
        continue;
      }
      if (S_ISREG(about.st_mode)) in(fd, above + name);
      close(fd);
    }
    closedir(stream);
  }

  void in(int fd, const std::string& name) {
    if (++files_ > kLookedAtMost || bytes_ > kBytesMost) {
      copies_.is_whole = false;
      return;
    }
    std::vector<bool> hit(values_.size());
    const bool is_read = read_before_.contains(name);
    std::size_t kept = 0;
    while (true) {
      const ssize_t n = read(fd, piece_.data() + kept, kPiece);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) copies_.is_whole = false;
      if (n <= 0) break;
      const std::size_t size = kept + static_cast<std::size_t>(n);
      bytes_ += static_cast<std::size_t>(n);
      look({piece_.data(), size}, hit);
      if (!is_read) look_for_shapes({piece_.data(), size}, name, false);
      kept = std::min(size, longest_ - 1);
      std::memmove(piece_.data(), piece_.data() + size - kept, kept);
    }
    if (!is_read) look_for_shapes({piece_.data(), kept}, name, true);
    for (std::size_t i = 0; i < hit.size(); ++i) {
      if (hit[i]) copies_.found.push_back({name, i});
    }
  }

 private:
  void look(std::string_view text, std::vector<bool>& hit) const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const std::string_view value = values_[i]->open(Purpose::kCompare);
      if (!hit[i] && memmem(text.data(), text.size(), value.data(), value.size()) != nullptr) {
        hit[i] = true;
      }
    }
  }

  // A word at the end of a piece may go on in the next, which begins with it.
  void look_for_shapes(std::string_view text, const std::string& name, bool is_end) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      while (at < text.size() && is_key_word(text[at])) ++at;
      const std::string_view word = text.substr(begin, at - begin);
      if (at == text.size() && !is_end) return;
      at = std::max(at, begin + 1);
      const Provider* provider = provider_of_shape(word);
      if (provider == nullptr || !is_sure(word)) continue;
      const bool is_value = std::ranges::any_of(
          values_, [&](const Secret* value) { return value->open(Purpose::kCompare) == word; });
      const Copies::Other other{name, provider};
      if (!is_value && std::ranges::find(copies_.others, other) == copies_.others.end()) {
        copies_.others.push_back(other);
      }
    }
  }

  const std::vector<const Secret*>& values_;
  const std::set<std::string>& read_before_;
  Copies& copies_;
  std::size_t longest_ = kShapeMost;
  std::vector<char> piece_;
  std::size_t files_ = 0;
  std::size_t bytes_ = 0;
};

std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return size < 0 ? "" : std::string(target.data(), static_cast<std::size_t>(size));
}

std::string name_of_process(const std::string& proc) {
  std::array<char, 64> name{};
  const net::Descriptor file(open((proc + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file.is_open() ? read(file.get(), name.data(), name.size()) : 0;
  std::string text(name.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

bool has_open_below(const std::string& proc, const std::string& folder) {
  DIR* stream = opendir((proc + "/fd").c_str());
  if (stream == nullptr) return false;
  bool has = false;
  while (const dirent* entry = readdir(stream)) {
    if (link_target(proc + "/fd/" + entry->d_name).starts_with(folder + "/")) has = true;
  }
  closedir(stream);
  return has;
}

}  // namespace

Copies copies_of(const std::vector<const Secret*>& values, const std::set<std::string>& read,
                 const Folder& folder) {
  Copies copies;
  Search search(values, read, copies);
  const int fd = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat about{};
  if (fd < 0 || fstat(fd, &about) != 0) {
    copies.is_whole = false;
    return copies;
  }
  search.below(fd, "", 0);
  const passwd* owner = getpwuid(about.st_uid);
  for (const char* history : kHistories) {
    if (owner == nullptr) break;
    const std::string path = std::string(owner->pw_dir) + "/" + history;
    const net::Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.is_open()) search.in(file.get(), path);
  }
  std::ranges::sort(copies.found, {}, &Copies::Copy::file);
  std::ranges::sort(copies.others, {}, &Copies::Other::file);
  return copies;
}

std::string user_of(const Folder& folder) {
  std::string user;
  DIR* all = opendir("/proc");
  if (all == nullptr) return user;
  const std::string own = std::to_string(getpid());
  while (const dirent* entry = readdir(all)) {
    const std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == own) continue;
    const std::string proc = "/proc/" + pid;
    if (user.empty() && has_open_below(proc, folder.path())) {
      user = fmt::format("{} ({})", pid, name_of_process(proc));
    }
  }
  closedir(all);
  return user;
}

}  // namespace gatehouse::cli::adopt
