// SPDX-License-Identifier: Apache-2.0
#include "sandbox/adoption.h"

#include <sodium.h>

#include "base/encoding.h"
#include "base/random.h"

namespace gatehouse::sandbox {

static_assert(kHouseKeySize == crypto_auth_hmacsha256_KEYBYTES);
static_assert(kProofSize == crypto_auth_hmacsha256_BYTES);

std::string fresh_number() {
  std::string number(kNumberSize, '\0');
  fill_random({reinterpret_cast<std::uint8_t*>(number.data()), number.size()});
  return number;
}

std::string proof_of(std::string_view side, const Secret& key, const Meeting& meeting) {
  std::string about(side);
  about += '\0';
  about += meeting.of_sandboxd + meeting.of_warden;
  std::string proof(kProofSize, '\0');
  crypto_auth_hmacsha256(reinterpret_cast<unsigned char*>(proof.data()), bytes_of(about).data(),
                         about.size(), bytes_of(key.open(Purpose::kDerive)).data());
  return proof;
}

bool is_proof(std::string_view said, std::string_view side, const Secret& key,
              const Meeting& meeting) {
  if (said.size() != kProofSize || key.size() != kHouseKeySize
      || meeting.of_sandboxd.size() != kNumberSize || meeting.of_warden.size() != kNumberSize) {
    return false;
  }
  const std::string right = proof_of(side, key, meeting);
  return sodium_memcmp(said.data(), right.data(), right.size()) == 0;
}

}  // namespace gatehouse::sandbox
