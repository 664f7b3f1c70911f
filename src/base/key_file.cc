// SPDX-License-Identifier: Apache-2.0
#include "base/key_file.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>
#include <string>

#include "base/check.h"

namespace gatehouse {
namespace {

constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kCheckSize = 8;
static_assert(kMagicSize + kKeySize + kCheckSize == kKeyFileSize);
static_assert(kRootKeyFormat.magic.size() == kMagicSize);
static_assert(kHouseKeyFormat.magic.size() == kMagicSize);

std::string check_of(std::string_view bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  return {reinterpret_cast<const char*>(digest.data()), kCheckSize};
}

}  // namespace

Secret key_file_bytes(const Format& format, const Secret& key) {
  CHECK(key.size() == kKeySize);
  std::array<char, kKeyFileSize> bytes{};
  const std::string_view all(bytes.data(), bytes.size());
  format.magic.copy(bytes.data(), kMagicSize);
  key.open(Purpose::kSeal).copy(bytes.data() + kMagicSize, kKeySize);
  check_of(all.substr(0, kMagicSize + kKeySize))
      .copy(bytes.data() + kMagicSize + kKeySize, kCheckSize);
  Secret out(all);
  wipe(bytes);
  return out;
}

Result<KeyFile> parse_key_file(const Format& format, std::string_view bytes) {
  if (bytes.size() == kKeySize) return KeyFile{Secret(bytes), 0};
  if (const std::uint64_t later = later_version(bytes, format); later != 0) {
    return newer_format(format, later);
  }
  if (bytes.size() != kKeyFileSize || !bytes.starts_with(format.magic)) {
    return failure(Error::kCorrupt,
                   fmt::format("this is not the file of {}: it has {} bytes, and should have {}",
                               format.what, bytes.size(), kKeyFileSize));
  }
  if (check_of(bytes.substr(0, kMagicSize + kKeySize)) != bytes.substr(kMagicSize + kKeySize)) {
    return failure(Error::kCorrupt,
                   fmt::format("the file of {} was changed: its check does not fit", format.what));
  }
  return KeyFile{Secret(bytes.substr(kMagicSize, kKeySize)), 1};
}

}  // namespace gatehouse
