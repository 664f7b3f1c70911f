// SPDX-License-Identifier: Apache-2.0
#include "vault/authority.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <memory>

#include "base/encoding.h"
#include "base/random.h"

namespace gatehouse::vault {
namespace {

constexpr long kLeafSeconds =
    24L * 3600 - 600;  // with the five minutes before now it stays below a day
constexpr long kAuthoritySeconds = 5L * 365 * 24 * 3600;
constexpr long kSkewSeconds = 300;
constexpr std::string_view kKeyMarker = "-----BEGIN PRIVATE KEY-----";

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;

Failure broken(const char* step) {
  ERR_clear_error();
  return failure(Error::kInternal, std::string("making a certificate failed at ") + step);
}

BioPtr reading(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string_view content(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Secret pem_of(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Secret(content(bio.get()));
}
std::string pem_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return std::string(content(bio.get()));
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_serial(X509* certificate) {
  std::array<std::uint8_t, 16> bytes{};
  fill_random(bytes);
  bytes[0] =
      static_cast<std::uint8_t>((bytes[0] & 0x7f) | 0x40);  // positive, and always of one length
  BIGNUM* number = BN_bin2bn(bytes.data(), bytes.size(), nullptr);
  const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

CertificatePtr blank(EVP_PKEY* key, long seconds) {
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), 2);  // v3
  set_serial(certificate.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kSkewSeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), seconds);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

void set_subject(X509* certificate, const std::string& common_name) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const std::string shown = common_name.substr(0, 64);  // ub-common-name, RFC 5280 appendix A
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(shown.c_str()), -1, -1, 0);
}

}  // namespace

Result<Authority> make_authority(const std::string& tenant) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return broken("the key");
  const CertificatePtr certificate = blank(key.get(), kAuthoritySeconds);
  set_subject(certificate.get(), "Gatehouse interception for " + tenant);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509* raw = certificate.get();
  if (!add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
      || !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign")
      || !add_extension(raw, raw, NID_subject_key_identifier, "hash")
      || X509_sign(raw, key.get(), EVP_sha256()) == 0) {
    return broken("the CA");
  }
  return Authority{pem_of(raw), pem_of(key.get())};
}

Secret authority_text(const Authority& authority) {
  std::string text = authority.certificate_pem;
  text.reserve(text.size() + authority.key_pem.size());
  text += authority.key_pem.open(Purpose::kSeal);
  Secret secret(text);
  wipe({text.data(), text.size()});
  return secret;
}

Result<Authority> parse_authority(const Secret& text) {
  const std::string_view both = text.open(Purpose::kDerive);
  const std::size_t key = both.find(kKeyMarker);
  if (key == std::string_view::npos) return failure(Error::kCorrupt, "a sealed CA that is none");
  return Authority{std::string(both.substr(0, key)), Secret(both.substr(key))};
}

Result<LeafCertificate> issue_leaf(const Authority& authority, const std::string& host) {
  const CertificatePtr issuer(
      PEM_read_bio_X509(reading(authority.certificate_pem).get(), nullptr, nullptr, nullptr));
  const KeyPtr issuer_key(PEM_read_bio_PrivateKey(
      reading(authority.key_pem.open(Purpose::kDerive)).get(), nullptr, nullptr, nullptr));
  if (!issuer || !issuer_key) return broken("reading the CA");
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return broken("the key");
  const CertificatePtr certificate = blank(key.get(), kLeafSeconds);
  set_subject(certificate.get(), host);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  std::array<unsigned char, 16> literal{};
  const bool is_ip = inet_pton(AF_INET, host.c_str(), literal.data()) == 1
                     || inet_pton(AF_INET6, host.c_str(), literal.data()) == 1;
  // OpenSSL reads the value below as a list in a little language of its own: nothing of it may be
  // in a host.
  const bool plain =
      !host.empty() && host.size() <= 253
      && host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_") == host.npos;
  if (!is_ip && !plain) {
    return failure(Error::kInvalid, "no certificate can name the host " + printable(host));
  }
  X509* raw = certificate.get();
  if (!add_extension(raw, issuer.get(), NID_basic_constraints, "critical,CA:FALSE")
      || !add_extension(raw, issuer.get(), NID_key_usage, "critical,digitalSignature")
      || !add_extension(raw, issuer.get(), NID_ext_key_usage, "serverAuth")
      || !add_extension(raw, issuer.get(), NID_authority_key_identifier, "keyid:always")
      || !add_extension(raw, issuer.get(), NID_subject_alt_name, (is_ip ? "IP:" : "DNS:") + host)) {
    return failure(Error::kInvalid, "no certificate can name the host " + printable(host));
  }
  if (X509_sign(raw, issuer_key.get(), EVP_sha256()) == 0) return broken("the signature");
  return LeafCertificate{pem_of(raw) + authority.certificate_pem, pem_of(key.get()),
                         static_cast<std::int64_t>(std::time(nullptr)) + kLeafSeconds};
}

}  // namespace gatehouse::vault
