// SPDX-License-Identifier: Apache-2.0
#include "control/run_token_keys.h"

#include "audit/digest.h"
#include "base/format_version.h"
#include "base/log.h"
#include "wire/signature.h"

namespace gatehouse::control {
namespace {

constexpr const char* kFile = "run-token-keys";
constexpr std::size_t kKeysMost = 2;
constexpr std::size_t kTimeSize = 8;
constexpr std::size_t kKeySize = kTimeSize + wire::kEd25519Bytes;
constexpr std::size_t kHeadSize = kRunTokenKeysFormat.magic.size() + 1;
constexpr std::size_t kCheckSize = 8;
constexpr std::size_t kFileMost = kHeadSize + kKeysMost * kKeySize + kCheckSize;

std::string check_of(std::string_view bytes) {
  const audit::Digest digest = audit::sha256(bytes);
  return {digest.begin(), digest.begin() + kCheckSize};
}

RunTokenKey fresh_key(WallTime now) {
  return {now.unix_seconds(), Secret::random(wire::kEd25519Bytes)};
}

}  // namespace

Secret run_token_keys_bytes(const std::vector<RunTokenKey>& keys) {
  std::string bytes(kRunTokenKeysFormat.magic);
  bytes.reserve(kFileMost);
  bytes += static_cast<char>(keys.size());
  for (const RunTokenKey& key : keys) {
    for (std::size_t i = 0; i < kTimeSize; ++i) {
      bytes += static_cast<char>(static_cast<std::uint64_t>(key.made_unix_s) >> (8 * i));
    }
    bytes += key.seed.open(Purpose::kSeal);
  }
  bytes += check_of(bytes);
  Secret out(bytes);
  wipe({bytes.data(), bytes.size()});
  return out;
}

Result<std::vector<RunTokenKey>> parse_run_token_keys(std::string_view bytes) {
  if (const std::uint64_t later = later_version(bytes, kRunTokenKeysFormat); later != 0) {
    return newer_format(kRunTokenKeysFormat, later);
  }
  const auto corrupt = failure(Error::kCorrupt, "the file of the keys of run tokens is damaged");
  if (bytes.size() < kHeadSize || !bytes.starts_with(kRunTokenKeysFormat.magic)) return corrupt;
  const auto count = static_cast<std::uint8_t>(bytes[kHeadSize - 1]);
  if (count == 0 || count > kKeysMost) return corrupt;
  const std::size_t size = kHeadSize + count * kKeySize;
  if (bytes.size() != size + kCheckSize || bytes.substr(size) != check_of(bytes.substr(0, size))) {
    return corrupt;
  }
  std::vector<RunTokenKey> keys;
  for (std::size_t at = kHeadSize; at < size; at += kKeySize) {
    std::uint64_t made = 0;
    for (std::size_t i = kTimeSize; i > 0; --i) {
      made = made << 8 | static_cast<std::uint8_t>(bytes[at + i - 1]);
    }
    keys.push_back({static_cast<std::int64_t>(made),
                    Secret(bytes.substr(at + kTimeSize, wire::kEd25519Bytes))});
  }
  return keys;
}

Result<RunTokenKeys> RunTokenKeys::open(net::FileSystem& files, WallTime now) {
  RunTokenKeys all(files);
  Result<std::string> bytes = net::read_file(files, kFile, kFileMost);
  auto found = bytes ? parse_run_token_keys(*bytes) : Failure(bytes.error());
  if (bytes) wipe({bytes->data(), bytes->size()});
  if (found) {
    all.keys_ = *std::move(found);
    return all;
  }
  if (found.error() == Error::kUnsupported) return Failure(found.error());
  if (found.error() != Error::kNotFound) {
    log_warning("the keys of run tokens cannot be read, so another is made",
                {{"why", found.error().message()}});
  }
  all.keys_.push_back(fresh_key(now));
  TRY(net::replace_file(files, kFile, run_token_keys_bytes(all.keys_).open(Purpose::kSeal)));
  return all;
}

bool RunTokenKeys::is_due(WallTime now) const {
  const std::int64_t age = now.unix_seconds() - keys_.at(signs_).made_unix_s;
  // A clock that was far ahead must not keep a key for ever.
  return age < 0 || age >= std::chrono::duration_cast<std::chrono::seconds>(kSignsFor).count();
}

Result<void> RunTokenKeys::make_next(WallTime now) {
  std::vector<RunTokenKey> next;
  next.push_back(fresh_key(now));
  next.push_back({keys_.at(signs_).made_unix_s, keys_.at(signs_).seed.duplicate(Purpose::kSeal)});
  TRY(net::replace_file(*files_, kFile, run_token_keys_bytes(next).open(Purpose::kSeal)));
  keys_ = std::move(next);
  signs_ = 1;
  return {};
}

std::vector<std::string> RunTokenKeys::public_keys() const {
  std::vector<std::string> keys;
  for (const RunTokenKey& key : keys_) {
    if (auto bytes = wire::ed25519_public(key.seed)) keys.push_back(*std::move(bytes));
  }
  return keys;
}

}  // namespace gatehouse::control
