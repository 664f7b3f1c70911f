// SPDX-License-Identifier: Apache-2.0
#include "cli/sealed.h"

#include <sodium.h>

#include "base/encoding.h"
#include "ipc/cli_control.h"

namespace gatehouse::cli {

Result<std::string> sealed_for_vault(Client& client, const Secret& secret) {
  const ipc::VaultPublicKey key = TRY(client.call(ipc::GetPublicKey{}));
  if (sodium_init() < 0 || key.x25519.size() != crypto_box_PUBLICKEYBYTES) {
    return failure(Error::kUnavailable, "the vault's key cannot be used");
  }
  const std::string_view value = secret.open(Purpose::kSeal);
  std::string sealed(value.size() + crypto_box_SEALBYTES, '\0');
  const auto plain = bytes_of(value);
  if (crypto_box_seal(reinterpret_cast<unsigned char*>(sealed.data()), plain.data(), plain.size(),
                      bytes_of(key.x25519).data())
      != 0) {
    return failure(Error::kInternal, "sealing failed");
  }
  return sealed;
}

}  // namespace gatehouse::cli
