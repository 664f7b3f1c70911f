// SPDX-License-Identifier: Apache-2.0
// The vault's root key on disk: `root.key` in the vault's directory, mode 0600
// (docs/formats/vault.md). What it sealed is worth nothing without it, so nothing here ever removes
// or cuts it: it is replaced by a whole file that was synced before.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "net/file.h"

namespace gatehouse::vault {

// Made when there is neither key nor record. One of before there was a version in the file is
// written anew as the present version; where that fails, it stays as it was and is used. Errors:
// kCorrupt, with what to do; kUnsupported for one of a newer gatehouse.
[[nodiscard]] Result<Secret> root_key(net::FileSystem& files);

// The same of a real directory. Errors: also kDenied when others may read the file.
[[nodiscard]] Result<Secret> load_or_make_key(const std::string& directory);

}  // namespace gatehouse::vault
