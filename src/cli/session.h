// SPDX-License-Identifier: Apache-2.0
// Where a person is signed in: $XDG_STATE_HOME/gatehouse/sessions.json (else ~/.local/state), for
// its owner's eyes only (0600).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::cli {

struct StoredSession {
  std::string session;  // the token; it is no use after `ends`
  std::string tenant;
  std::string who;
  std::string ends;  // RFC 3339
};

using Sessions = std::map<std::string, StoredSession>;  // by house

// The file's text, both ways. One of before there was a version in it (0) is read too: it was the
// sessions alone. Errors: kCorrupt; kUnsupported for one of a newer gatehouse.
struct SessionsFile {
  std::uint64_t version = 0;
  Sessions sessions;
};
[[nodiscard]] std::string sessions_text(const Sessions& sessions);
[[nodiscard]] Result<SessionsFile> parse_sessions(std::string_view text);

// The caller's; none where there is no file that they can read. Errors: as parse_sessions; kDenied
// when others may read it.
[[nodiscard]] Result<std::optional<SessionsFile>> sessions_on_disk();

// Of the house that is reached there (a socket's path, or an origin). Errors: kDenied when others
// may read the file; kCorrupt.
[[nodiscard]] Result<std::optional<StoredSession>> stored_session(const std::string& house);
[[nodiscard]] Result<void> store_session(const std::string& house, const StoredSession& session);
[[nodiscard]] Result<void> forget_session(const std::string& house);

}  // namespace gatehouse::cli
