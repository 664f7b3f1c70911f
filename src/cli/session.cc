// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include "base/format_version.h"
#include "cli/state_folder.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kFileMost = 1024 * 1024;  // bytes

Result<Sessions> load() {
  auto found = TRY(sessions_on_disk());
  return found ? std::move(found->sessions) : Sessions();
}

// Replaced whole, so that no reader sees half of it.
Result<void> save(const Sessions& sessions) {
  return replace_private_file(TRY(state_folder()) + "/sessions.json", sessions_text(sessions));
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
  const std::string path = TRY(state_folder()) + "/sessions.json";
  const std::string text = TRY(private_file_text(
      path, kFileMost,
      "holds sessions and is not yours alone; chmod 600 it, or remove it and sign in again"));
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
