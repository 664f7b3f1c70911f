// SPDX-License-Identifier: Apache-2.0
#include "host/user_namespace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "net/descriptor.h"

namespace gatehouse::host {
namespace {

constexpr const char* kNewUidMap = "/usr/bin/newuidmap";
constexpr const char* kNewGidMap = "/usr/bin/newgidmap";

Failure broken(std::string_view step) {
  return failure(Error::kUnsupported,
                 fmt::format("the house's user namespace: {}: {}", step, std::strerror(errno)));
}

Result<void> write_proc(const char* name, std::string_view text) {
  const std::string path = std::string("/proc/self/") + name;
  const net::Descriptor fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open() || ::write(fd.get(), text.data(), text.size()) != ssize_t(text.size())) {
    return broken("writing " + path);
  }
  return {};
}

std::string text_of(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges) {
    text += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
  }
  return text;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string whole(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Runs newuidmap(1) or newgidmap(1) on `pid`.
bool run_mapper(const char* path, pid_t pid, const std::vector<IdRange>& ranges) {
  std::vector<std::string> words = {path, std::to_string(pid)};
  for (const IdRange& range : ranges) {
    for (const std::uint32_t id : {range.inside, range.outside, range.count}) {
      words.push_back(std::to_string(id));
    }
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    execv(path, argv.data());
    _exit(71);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

// From outside, since only a process outside may write a map of several ranges: a child that waits
// until its parent is in its new namespace.
class Mapper {
 public:
  Result<void> begin(const UserMap& map) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return broken("a pipe");
    const net::Descriptor told(ends[0]);
    tell_ = net::Descriptor(ends[1]);
    const pid_t parent = getpid();
    child_ = fork();
    if (child_ < 0) return broken("a process that maps");
    if (child_ > 0) return {};
    tell_.reset();
    char word = 0;
    if (::read(told.get(), &word, 1) != 1) _exit(0);  // it gave up
    const bool mapped =
        run_mapper(kNewUidMap, parent, map.users) && run_mapper(kNewGidMap, parent, map.groups);
    _exit(mapped ? 0 : 1);
  }
  Result<void> finish(bool wanted) {
    if (wanted) [[maybe_unused]]
      const ssize_t written = ::write(tell_.get(), "M", 1);
    tell_.reset();
    int status = 0;
    if (waitpid(child_, &status, 0) != child_ || status != 0) {
      return failure(Error::kUnsupported,
                     "the house's user namespace: newuidmap or newgidmap refused its ranges of "
                     "/etc/subuid and /etc/subgid; the lines above say why");
    }
    return {};
  }

 private:
  net::Descriptor tell_;
  pid_t child_ = -1;
};

}  // namespace

Result<void> write_own_map(const UserMap& map) {
  TRY(write_proc("setgroups", "deny"));
  TRY(write_proc("uid_map", text_of(map.users)));
  return write_proc("gid_map", text_of(map.groups));
}

std::optional<IdRange> parse_subids(std::string_view subids, std::string_view name,
                                    std::uint32_t id, std::uint32_t least) {
  while (!subids.empty()) {
    const std::size_t end = std::min(subids.find('\n'), subids.size());
    const std::string_view line = subids.substr(0, end);
    subids.remove_prefix(std::min(end + 1, subids.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos || first == 0) continue;
    const std::string_view who = line.substr(0, first);
    if (who != name && number(who) != id) continue;
    const auto start = number(line.substr(first + 1, second - first - 1));
    const auto count = number(line.substr(second + 1));
    // The root of the host is nobody's to give.
    if (!start || !count || *start == 0 || *count < least || *start + *count < *start) continue;
    return IdRange{1, *start, *count};
  }
  return std::nullopt;
}

std::optional<UserMap> map_of_subids() {
  if (geteuid() == 0 || access(kNewUidMap, X_OK) != 0 || access(kNewGidMap, X_OK) != 0) {
    return std::nullopt;
  }
  const passwd* known = getpwuid(geteuid());
  const std::string name = known == nullptr ? "" : known->pw_name;
  const auto users = parse_subids(whole("/etc/subuid"), name, geteuid(), kRangeLeast);
  const auto groups = parse_subids(whole("/etc/subgid"), name, geteuid(), kRangeLeast);
  if (!users || !groups) return std::nullopt;
  return UserMap{{{0, geteuid(), 1}, *users}, {{0, getegid(), 1}, *groups}};
}

Result<void> enter_user_namespace(const UserMap& map) {
  const bool is_one = map.users.size() == 1;
  Mapper mapper;
  if (!is_one) TRY(mapper.begin(map));
  const bool entered = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  const int why = errno;
  if (!is_one) TRY(mapper.finish(entered));
  errno = why;
  if (!entered) return broken("making it");
  if (is_one) return write_own_map(map);
  return {};
}

bool is_root_outside() {
  std::istringstream map(whole("/proc/self/uid_map"));
  IdRange range;
  while (map >> range.inside >> range.outside >> range.count) {
    if (range.inside == 0) return range.outside == 0;
  }
  return true;  // not known: then it is
}

}  // namespace gatehouse::host
