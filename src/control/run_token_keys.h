// SPDX-License-Identifier: Apache-2.0
// The keys that sign run tokens (wire/run_token.h): Ed25519, in `run-token-keys` of control's
// directory and nowhere else. There are one or two: when a new one begins to sign, the one before
// still verifies what it has signed. docs/formats/README.md describes the file. Of control's
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/file.h"

namespace gatehouse::control {

struct RunTokenKey {
  std::int64_t made_unix_s = 0;
  Secret seed;
};

// The newest first.
[[nodiscard]] Secret run_token_keys_bytes(const std::vector<RunTokenKey>& keys);
// The caller wipes `bytes`. Errors: kCorrupt; kUnsupported for a file of a newer gatehouse.
[[nodiscard]] Result<std::vector<RunTokenKey>> parse_run_token_keys(std::string_view bytes);

class RunTokenKeys {
 public:
  static constexpr Nanos kSignsFor = std::chrono::hours(24);

  // Reads the file, or makes it; a damaged one is replaced, for tokens live for minutes. Errors:
  // kUnsupported for a file of a newer gatehouse; what the file system says.
  [[nodiscard]] static Result<RunTokenKeys> open(net::FileSystem& files, WallTime now);

  // Whether the key that signs is old enough for another.
  [[nodiscard]] bool is_due(WallTime now) const;
  // Makes another key, which verifies from now on; what was before the one that signs is forgotten.
  // Errors: what the file system says; then nothing has changed.
  [[nodiscard]] Result<void> make_next(WallTime now);
  // It signs, now that every gateway knows it.
  void use_next() { signs_ = 0; }

  [[nodiscard]] const Secret& signing_seed() const { return keys_.at(signs_).seed; }
  // 32 bytes each.
  [[nodiscard]] std::vector<std::string> public_keys() const;

 private:
  explicit RunTokenKeys(net::FileSystem& files) : files_(&files) {}
  net::FileSystem* files_;
  std::vector<RunTokenKey> keys_;
  std::size_t signs_ = 0;  // which of them
};

}  // namespace gatehouse::control
