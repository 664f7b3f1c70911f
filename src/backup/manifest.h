// SPDX-License-Identifier: Apache-2.0
// What a backup file says of itself, without I/O. docs/formats/backup.md is the description; these
// are its constants.
//
//   backup  = header, contents, manifest, trailer
//   header  = "GHBACKUP" | format u32 | zeros to 64
//   trailer = "GHBKPEND" | manifest offset u64 | manifest size u64 | SHA-256 of header and manifest
//   |
//             zeros to 64
//
// The manifest names every byte between header and itself, with a SHA-256 for each file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/format_version.h"
#include "base/result.h"

namespace gatehouse::backup {

inline constexpr auto kFormat = static_cast<std::uint32_t>(kBackupFormat.latest);
inline constexpr std::size_t kHeaderSize = 64;
inline constexpr std::size_t kTrailerSize = 64;
inline constexpr std::size_t kDigestSize = 32;
inline constexpr std::uint64_t kManifestMost = 256ULL * 1024 * 1024;  // bytes
inline constexpr std::size_t kMembersMost = 1'000'000;
inline constexpr std::uint64_t kFileMost = 16ULL * 1024 * 1024 * 1024;  // bytes of one file

enum class Type : std::uint8_t { kDirectory, kFile, kLink };

struct Member {
  std::string path;  // below the data directory; "." is that itself
  Type type = Type::kFile;
  std::uint32_t mode = 0;  // permissions only
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t changed_ns = 0;  // st_mtim
  std::uint64_t offset = 0;     // of its contents in the backup
  std::uint64_t stored = 0;     // bytes of them
  std::uint64_t size = 0;       // of the file; what is not stored are zeros at its end
  std::string sha256;           // of what is stored; "" but for a file
  std::string target;           // of a symbolic link
  template <class F>
  void fields(F& f) {
    f(path, type, mode, uid, gid, changed_ns, offset, stored, size, sha256, target);
  }
};

struct Manifest {
  std::string made_by;  // version of gatehouse
  std::int64_t made_unix_ms = 0;
  std::string house;         // salt of its first audit segment, in hexadecimal; "" without a log
  bool was_running = false;  // while it was made
  bool has_key = false;      // the vault's root key is in it
  std::vector<Member> members;
  template <class F>
  void fields(F& f) {
    f(made_by, made_unix_ms, house, was_running, has_key, members);
  }
};

struct Trailer {
  std::uint64_t offset = 0;  // of the manifest
  std::uint64_t size = 0;
  std::string sha256;
};

[[nodiscard]] std::string header_bytes();
// Errors: kCorrupt; kUnsupported for a format of a newer gatehouse.
[[nodiscard]] Result<void> check_header(std::string_view bytes);

[[nodiscard]] std::string trailer_bytes(const Trailer& trailer);
// `file_size` is that of the whole backup. Errors: kCorrupt, when it does not end as one does.
[[nodiscard]] Result<Trailer> parse_trailer(std::string_view bytes, std::uint64_t file_size);

[[nodiscard]] std::string manifest_bytes(Manifest& manifest);
// `contents_end` is where the files' contents end. What comes back names only what a data directory
// has, every directory before what is in it, nothing twice and nothing through a link. Errors:
// kCorrupt.
[[nodiscard]] Result<Manifest> parse_manifest(std::string_view bytes, std::uint64_t contents_end);

}  // namespace gatehouse::backup
