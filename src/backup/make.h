// SPDX-License-Identifier: Apache-2.0
// Makes a backup of a data directory, of a house that runs or of one that does not. It needs to
// read what each role has alone: root's, or the only user's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::backup {

struct Wish {
  std::string data;     // the data directory
  std::string config;   // the file to keep beside it, "" for none
  std::string made_by;  // version of gatehouse
  bool with_key = false;
  // The state store as it is at one moment, in memory, from the control of a house that runs; it
  // has put on record that a backup was made. Empty for a house that does not run, and is not
  // started meanwhile.
  std::function<Result<net::Descriptor>()> take_state;
};

struct Made {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  std::vector<std::string> left_out;  // and why
};

// The audit log is copied last: it has the Entry of whatever else is in the backup. Errors:
// kConflict when `path` exists; kDenied; kCorrupt when the log is damaged; kExhausted.
[[nodiscard]] Result<Made> make_backup(const Wish& wish, const std::string& path);

}  // namespace gatehouse::backup
