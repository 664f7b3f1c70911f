// SPDX-License-Identifier: Apache-2.0
// Files that are rows of a SQLite database: where OpenClaw keeps what people paste. Such a row is
// named FILE.sqlite#TABLE/KEY and read and replaced as a file is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/adopt/folder.h"

namespace gatehouse::cli::adopt {

// The names of the rows of a database that may hold keys. None where its tables are others.
// Errors: Folder::check's; kCorrupt.
[[nodiscard]] Result<std::vector<std::string>> rows_of(const Folder& folder,
                                                       const std::string& database);

// Of a file or a row, as Folder has them.
[[nodiscard]] Result<std::optional<PrivateText>> read_source(const Folder& folder,
                                                             const std::string& name);
// A row is replaced in one transaction, and what stood there is overwritten in the file; the log
// beside the database is emptied. Its other rows are not touched.
[[nodiscard]] Result<void> replace_source(const Folder& folder, const std::string& name,
                                          std::string_view before, std::string_view after);

}  // namespace gatehouse::cli::adopt
