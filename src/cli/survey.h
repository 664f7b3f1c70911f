// SPDX-License-Identifier: Apache-2.0
// What lies in a data directory and of which version each store is, as this program reads it.
// Looks only: nothing is opened for writing, and no lock is taken.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/format_version.h"
#include "cli/cli.h"

namespace gatehouse::cli {

// The worse comes later.
enum class Standing : std::uint8_t { kAbsent, kCurrent, kMigrates, kNewer, kDamaged };
[[nodiscard]] std::string_view text(Standing standing);

struct Surveyed {
  Format format;
  Standing standing = Standing::kAbsent;
  std::uint64_t files = 0;
  std::set<std::uint64_t> versions;  // those found
  std::string why;                   // of what is newer or damaged
  std::uint64_t takes_ms = 0;        // its migration, as measured on a copy
  std::uint64_t writes_bytes = 0;    // its migration, about
};

struct Survey {
  std::vector<Surveyed> stores;  // each format of a data directory, and the caller's sessions
  std::uint64_t live_runs = 0;   // by the state store
  std::string house;             // salt of the first audit segment, in hexadecimal
};

// `data` is a data directory, of a house that runs or not; with the config the state store is
// rehearsed whole, on a copy in $TMPDIR. Errors: kDenied when this user cannot read all of it.
[[nodiscard]] Result<Survey> survey(const std::string& data, const std::string& config,
                                    const Wiring& wiring);

// When a backup of that house was last put on record, in Unix milliseconds; 0 when none was within
// the time that is looked back over. Of a house that did not run, none is.
[[nodiscard]] Result<std::int64_t> backup_on_record(const std::string& data,
                                                    std::int64_t since_unix_ms);

}  // namespace gatehouse::cli
