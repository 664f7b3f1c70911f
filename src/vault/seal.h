// SPDX-License-Identifier: Apache-2.0
// The vault's cipher: AES-256-GCM under a key derived for one tenant and user, bound to what the
// record is. A record that is moved to another tenant, user, service, kind or version does not
// open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "ipc/control_vault.h"

namespace gatehouse::vault {

// What a sealed record is; all of it is associated data.
struct RecordName {
  std::string tenant;
  std::string user;     // "" for what belongs to the tenant
  std::string service;  // or another name of the vault's own
  ipc::CredentialKind kind = ipc::CredentialKind::kStatic;
  std::uint64_t version = 0;  // grows with each write of the same name
  friend bool operator==(const RecordName&, const RecordName&) = default;
};

// Fields with their lengths before them, so that no two names have one encoding.
[[nodiscard]] std::string name_bytes(const RecordName& name);

class Sealer {
 public:
  // `root` has 32 bytes.
  explicit Sealer(Secret root) : root_(std::move(root)) {}

  // nonce 12 | ciphertext | tag 16. The nonce is random: below 2^32 records a key is safe (NIST SP
  // 800-38D, 8.3), and each user has a key of their own.
  [[nodiscard]] std::string seal(const RecordName& name, const Secret& value) const;
  // Errors: kCorrupt when anything of it was changed or it is another record's.
  [[nodiscard]] Result<Secret> open(const RecordName& name, std::string_view sealed) const;
  // HMAC-SHA-256 under a key of this tenant's: fingerprints of tokens for the log, which only the
  // vault can make.
  // What stands for a credential in one Run's sandbox: the same after a restart, no digest of the
  // credential, and without the vault's key not to be guessed.
  [[nodiscard]] std::string placeholder(std::string_view run, std::string_view service) const;
  [[nodiscard]] std::string fingerprint(std::string_view tenant, const Secret& value) const;

 private:
  [[nodiscard]] Secret key_for(std::string_view purpose, std::string_view tenant,
                               std::string_view user) const;
  Secret root_;
};

}  // namespace gatehouse::vault
