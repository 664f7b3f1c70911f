// SPDX-License-Identifier: Apache-2.0
#include "vault/seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <memory>

#include "base/check.h"
#include "base/encoding.h"
#include "base/random.h"
#include "ipc/placeholder.h"

namespace gatehouse::vault {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;

using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
CipherPtr make_cipher() { return {EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free}; }

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::array<char, kKeySize> hmac(const Secret& key, std::string_view message) {
  std::array<char, kKeySize> out{};
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), key.open(Purpose::kDerive).data(), static_cast<int>(key.size()),
             bytes(message), message.size(), reinterpret_cast<unsigned char*>(out.data()), &size)
            != nullptr
        && size == out.size());
  return out;
}

void put(std::string& out, std::string_view field) {
  const auto size = static_cast<std::uint32_t>(field.size());
  for (int i = 0; i < 4; ++i) out += static_cast<char>(size >> (8 * i));
  out += field;
}

}  // namespace

std::string name_bytes(const RecordName& name) {
  std::string out = "gatehouse-vault-1";
  put(out, name.tenant);
  put(out, name.user);
  put(out, name.service);
  out += static_cast<char>(name.kind);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(name.version >> (8 * i));
  return out;
}

Secret Sealer::key_for(std::string_view purpose, std::string_view tenant,
                       std::string_view user) const {
  std::string message;
  put(message, purpose);
  put(message, tenant);
  put(message, user);
  std::array<char, kKeySize> derived = hmac(root_, message);
  Secret key({derived.data(), derived.size()});
  wipe(derived);
  return key;
}

std::string Sealer::seal(const RecordName& name, const Secret& value) const {
  const Secret key = key_for("record", name.tenant, name.user);
  const std::string associated = name_bytes(name);
  std::string out(kNonceSize + value.size() + kTagSize, '\0');
  auto* raw = reinterpret_cast<unsigned char*>(out.data());
  fill_random({raw, kNonceSize});
  const CipherPtr cipher = make_cipher();
  int size = 0;
  const std::string_view plain = value.open(Purpose::kSeal);
  CHECK(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr,
                           bytes(key.open(Purpose::kSeal)), raw)
            == 1
        && EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes(associated),
                             static_cast<int>(associated.size()))
               == 1
        && EVP_EncryptUpdate(cipher.get(), raw + kNonceSize, &size, bytes(plain),
                             static_cast<int>(plain.size()))
               == 1
        && EVP_EncryptFinal_ex(cipher.get(), raw + kNonceSize + size, &size) == 1
        && EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagSize,
                               raw + kNonceSize + plain.size())
               == 1);
  return out;
}

Result<Secret> Sealer::open(const RecordName& name, std::string_view sealed) const {
  const auto damaged = [] {
    return failure(Error::kCorrupt,
                   "a sealed record does not open: it was changed, belongs elsewhere, or "
                   "this is not the key it was sealed with");
  };
  if (sealed.size() < kNonceSize + kTagSize) return damaged();
  const Secret key = key_for("record", name.tenant, name.user);
  const std::string associated = name_bytes(name);
  const std::string_view body = sealed.substr(kNonceSize, sealed.size() - kNonceSize - kTagSize);
  std::array<char, kTagSize> tag{};
  sealed.substr(sealed.size() - kTagSize).copy(tag.data(), tag.size());
  std::string plain(body.size() + 1, '\0');
  auto* raw = reinterpret_cast<unsigned char*>(plain.data());
  const CipherPtr cipher = make_cipher();
  int size = 0;
  int rest = 0;
  const bool whole =
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key.open(Purpose::kSeal)),
                         bytes(sealed))
          == 1
      && EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes(associated),
                           static_cast<int>(associated.size()))
             == 1
      && EVP_DecryptUpdate(cipher.get(), raw, &size, bytes(body), static_cast<int>(body.size()))
             == 1
      && EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1
      && EVP_DecryptFinal_ex(cipher.get(), raw + size, &rest) == 1;
  Secret value = whole ? Secret({plain.data(), body.size()}) : Secret();
  wipe({plain.data(), plain.size()});
  if (!whole) return damaged();
  return value;
}

std::string Sealer::fingerprint(std::string_view tenant, const Secret& value) const {
  const Secret key = key_for("fingerprint", tenant, "");
  const std::array<char, kKeySize> digest = hmac(key, value.open(Purpose::kCompare));
  return to_hex(bytes_of({digest.data(), 8}));
}

std::string Sealer::placeholder(std::string_view run, std::string_view service) const {
  const Secret key = key_for("placeholder", run, service);
  const std::array<char, kKeySize> digest = hmac(key, "ghph");
  return std::string(ipc::kPlaceholderPrefix) + to_base64url({digest.data(), 16});
}

}  // namespace gatehouse::vault
