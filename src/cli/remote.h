// SPDX-License-Identifier: Apache-2.0
// The verbs about Runs, by the admin API: for people who are signed in. The house's owner has them
// by the house's own sockets.
#pragma once

#include "cli/api.h"

namespace gatehouse::cli {

// What became of the sandboxes of a kill, in words.
[[nodiscard]] std::string words_on(std::uint64_t sandboxes, std::uint64_t ended, bool destroy);

[[nodiscard]] Result<int> remote_runs(const Api& api, const Options& options);
[[nodiscard]] Result<int> remote_transcript(const Api& api, const Options& options);
[[nodiscard]] Result<int> remote_kill(const Api& api, const Options& options);
[[nodiscard]] Result<int> remote_revive(const Api& api, const Options& options);

}  // namespace gatehouse::cli
