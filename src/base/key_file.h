// SPDX-License-Identifier: Apache-2.0
// The bytes of a file that holds one key and nothing else, both ways, without I/O:
//
//   key file = magic 8, whose last character is the version | key 32 | check 8
//
// The check is the beginning of SHA-256 over what is before it, so that a damaged key is told from
// one that is of another house. A file of before there was a version (0) is the key alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/format_version.h"
#include "base/result.h"
#include "base/secret.h"

namespace gatehouse {

inline constexpr std::size_t kKeySize = 32;       // bytes of the key
inline constexpr std::size_t kKeyFileSize = 48;   // of a file of version 1
inline constexpr std::size_t kKeyFileMost = 256;  // what is read of one

struct KeyFile {
  Secret key;
  std::uint64_t version = 0;
};

// `key` has kKeySize bytes.
[[nodiscard]] Secret key_file_bytes(const Format& format, const Secret& key);
// The caller wipes `bytes`. Errors: kCorrupt; kUnsupported for one of a newer gatehouse.
[[nodiscard]] Result<KeyFile> parse_key_file(const Format& format, std::string_view bytes);

}  // namespace gatehouse
