// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/format_version.h"
#include "net/descriptor.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kFileMost = 1024 * 1024;  // bytes

Result<std::string> folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/gatehouse";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    return failure(Error::kNotFound, "HOME is not set, so there is no place for sessions");
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

// "" where there is none.
Result<std::string> file_text(const std::string& path) {
  const net::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  // Under sudo(8) HOME may be another's: what lies there is not this person's.
  if (!file.is_open() && (errno == ENOENT || errno == EACCES)) return "";
  struct stat about{};
  if (!file.is_open() || fstat(file.get(), &about) != 0) {
    return failure_from_errno(errno, "reading " + path);
  }
  if ((about.st_mode & 077) != 0 || about.st_uid != geteuid()) {
    return failure(Error::kDenied, path + " holds sessions and is not yours alone; chmod 600 it, "
                                          "or remove it and sign in again");
  }
  std::string text;
  std::array<char, 4096> bytes{};
  while (true) {
    const ssize_t n = read(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "reading " + path);
    if (n == 0) return text;
    text.append(bytes.data(), static_cast<std::size_t>(n));
    if (text.size() > kFileMost) return failure(Error::kTooLarge, path + " is too large");
  }
}

Result<Sessions> load() {
  auto found = TRY(sessions_on_disk());
  return found ? std::move(found->sessions) : Sessions();
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "writing sessions");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Replaced whole, so that no reader sees half of it.
Result<void> save(const Sessions& sessions) {
  const std::string place = TRY(folder());
  TRY(make_folders(place));
  std::string fresh = place + "/sessions.XXXXXX";
  const net::Descriptor file(mkostemp(fresh.data(), O_CLOEXEC));  // 0600
  if (!file.is_open()) return failure_from_errno(errno, "writing in " + place);
  const Result<void> written = write_all(file.get(), sessions_text(sessions));
  if (!written || fsync(file.get()) != 0
      || rename(fresh.c_str(), (place + "/sessions.json").c_str()) != 0) {
    const int why = errno;
    unlink(fresh.c_str());
    return written ? failure_from_errno(why, "replacing sessions.json") : written;
  }
  return {};
}

}  // namespace

std::string sessions_text(const Sessions& sessions) {
  wire::JsonWriter out;
  out.begin_object()
      .key("version")
      .integer(std::int64_t{kSessionsFormat.latest})
      .key("sessions")
      .begin_object();
  for (const auto& [house, one] : sessions) {
    out.key(house).begin_object();
    out.key("session").string(one.session).key("tenant").string(one.tenant);
    out.key("who").string(one.who).key("ends").string(one.ends).end_object();
  }
  out.end_object().end_object();
  return out.text() + "\n";
}

Result<SessionsFile> parse_sessions(std::string_view text) {
  const auto damaged = [] {
    return failure(Error::kCorrupt, "it is damaged; remove it and sign in again");
  };
  auto all = wire::scan_object(text);
  if (!all) return damaged();
  SessionsFile file;
  if (const wire::JsonValue* version = all->find("version")) {
    const std::optional<std::int64_t> said = version->integer();
    if (!said || *said < 1) return damaged();
    file.version = static_cast<std::uint64_t>(*said);
    if (file.version > kSessionsFormat.latest) return newer_format(kSessionsFormat, file.version);
    const wire::JsonValue* inner = all->find("sessions");
    if (inner == nullptr) return damaged();
    all = wire::scan_object(inner->raw);
    if (!all) return damaged();
  }
  for (const wire::JsonMember& member : all->members) {
    const auto one = wire::scan_object(member.value.raw);
    if (!one) return damaged();
    file.sessions[member.key] = {one->string("session").value_or(""),
                                 one->string("tenant").value_or(""),
                                 one->string("who").value_or(""), one->string("ends").value_or("")};
  }
  return file;
}

Result<std::optional<SessionsFile>> sessions_on_disk() {
  const std::string path = TRY(folder()) + "/sessions.json";
  const std::string text = TRY(file_text(path));
  if (text.empty()) return std::nullopt;
  auto parsed = parse_sessions(text);
  if (!parsed) return Failure(parsed.error().in(path));
  return std::move(*parsed);
}

Result<std::optional<StoredSession>> stored_session(const std::string& house) {
  const Sessions sessions = TRY(load());
  const auto found = sessions.find(house);
  return found == sessions.end() ? std::nullopt : std::optional(found->second);
}

Result<void> store_session(const std::string& house, const StoredSession& session) {
  Sessions sessions = TRY(load());
  sessions[house] = session;
  return save(sessions);
}

Result<void> forget_session(const std::string& house) {
  Sessions sessions = TRY(load());
  if (sessions.erase(house) == 0) return {};
  return save(sessions);
}

}  // namespace gatehouse::cli
