// SPDX-License-Identifier: Apache-2.0
// Makes a data directory out of a backup. The whole backup is verified before anything is made, and
// the directory is whole before it has its name.
#pragma once

#include <string>

#include "backup/archive.h"

namespace gatehouse::backup {

struct Target {
  std::string data;         // absolute; its parent must exist
  bool keep_aside = false;  // a directory that is there is renamed; else only an empty one may be
  std::string key;          // file of the vault's root key, "" for none
};

struct Restored {
  std::string kept_aside;  // where the old directory is now, "" for none
  bool has_key = false;
  std::uint64_t files = 0;
};

// As root, everything gets back its owner; else all is the caller's. Errors: kConflict when there
// is something, or a house runs on it; kInvalid for a key that is none; what Archive::copy says.
[[nodiscard]] Result<Restored> restore(const Archive& archive, const Target& target);

}  // namespace gatehouse::backup
