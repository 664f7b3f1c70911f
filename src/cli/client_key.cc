// SPDX-License-Identifier: Apache-2.0
#include "cli/client_key.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

namespace gatehouse::cli {
namespace {

constexpr std::size_t kLockedHeap = 64 * 1024;  // bytes
constexpr std::size_t kLockedPiece = 32;
constexpr long kBegins_s = -300;  // the gatehouse's clock may be behind
constexpr long kEnds_s = 30L * 24 * 3600;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string_view bytes_in(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, size < 0 ? 0 : static_cast<std::size_t>(size)};
}

}  // namespace

Result<ClientKey> make_client_key() {
  const auto broken = failure(Error::kInternal, "no key and certificate can be made");
  // Private numbers go there from now on: locked, and in no core dump.
  CRYPTO_secure_malloc_init(kLockedHeap, kLockedPiece);
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate(X509_new());
  if (!key || !certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1
      || ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) != 1
      || X509_gmtime_adj(X509_getm_notBefore(certificate.get()), kBegins_s) == nullptr
      || X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kEnds_s) == nullptr
      || X509_set_pubkey(certificate.get(), key.get()) != 1
      || X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return broken;
  }
  const Owned<BIO> public_text(BIO_new(BIO_s_mem()));
  const Owned<BIO> private_text(BIO_new(BIO_s_secmem()));
  if (!public_text || !private_text || PEM_write_bio_X509(public_text.get(), certificate.get()) != 1
      || PEM_write_bio_PrivateKey(private_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                  nullptr)
             != 1) {
    return broken;
  }
  ClientKey made;
  made.identity.certificate_pem = bytes_in(public_text.get());
  made.identity.private_key_pem = Secret(bytes_in(private_text.get()));
  made.thumbprint.resize(32);
  unsigned int size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(),
                  reinterpret_cast<unsigned char*>(made.thumbprint.data()), &size)
          != 1
      || size != made.thumbprint.size()) {
    return broken;
  }
  return made;
}

}  // namespace gatehouse::cli
