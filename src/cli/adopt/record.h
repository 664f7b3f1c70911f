// SPDX-License-Identifier: Apache-2.0
// What one adoption changes, and what undoes it. It is written before anything else happens, to a
// file of the person's own (state_folder.h) that holds the files as they were, keys and all, until
// `gatehouse adopt --forget` or an undo removes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/adopt/find.h"

namespace gatehouse::cli::adopt {

// Of what stands in a key's place, which of the equal texts in the file as it was left it is.
struct Edit {
  PrivateText was;
  std::string now;
  std::size_t nth = 0;  // from 0
  std::size_t of = 0;
};

struct ChangedFile {
  std::string name;
  PrivateText before;
  std::string after_sha256;  // hexadecimal
  std::vector<Edit> edits;
};

struct StoredKey {
  std::string tenant;
  std::string user;  // "": the tenant's
  std::string service;
  std::string sha256;  // of the key, hexadecimal
};

struct Record {
  std::string path;  // of the folder
  std::string agent;
  std::string made;  // RFC 3339
  std::vector<ChangedFile> files;
  std::vector<StoredKey> keys;
};

[[nodiscard]] std::string hex_sha256(std::string_view bytes);

// The file with its splices made, each with its variable; and the edits that lead back.
struct Spliced {
  PrivateText after;
  std::vector<Edit> edits;
};
struct NamedSplice {
  const Splice* splice;
  std::string variable;
};
// The splices do not overlap.
[[nodiscard]] Spliced spliced(std::string_view before, std::vector<NamedSplice> splices);

// The file as it was: byte for byte when it is as the adoption left it, else with every edit taken
// back where it stands. Errors: kConflict when they are not all there.
[[nodiscard]] Result<PrivateText> undone(const ChangedFile& file, std::string_view now);

[[nodiscard]] PrivateText text_of(const Record& record);
// Errors: kCorrupt; kUnsupported for a newer version.
[[nodiscard]] Result<Record> parse_record(std::string_view text);

// The records of a folder, oldest first, each by its file; of all folders for "".
[[nodiscard]] Result<std::vector<std::string>> record_files(const std::string& path);
// A name for the next one of this folder.
[[nodiscard]] Result<std::string> next_record_file(const std::string& path);
[[nodiscard]] Result<Record> load_record(const std::string& file);
[[nodiscard]] Result<void> store_record(const std::string& file, const Record& record);
// Durably gone when it returns.
[[nodiscard]] Result<void> remove_record(const std::string& file);

}  // namespace gatehouse::cli::adopt
