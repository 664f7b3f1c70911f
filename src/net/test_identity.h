// SPDX-License-Identifier: Apache-2.0
// Certificates that tests make for themselves. For tests.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

#include "net/tls.h"

namespace gatehouse::net {

struct TestCertificate {
  std::string name;         // of the subject alternative names: "DNS:a.test", "IP:127.0.0.1"
  std::string common_name;  // "" for a subject without one
  long from_s = -60;        // from now
  long until_s = 3600;
  const TlsIdentity* issuer = nullptr;  // a "authority.test"; null for one that signs itself
  // Instead of P-256: its signatures are all of one length.
  bool is_ed25519 = false;
  std::string constraints;  // as OpenSSL's config writes it: "critical,CA:TRUE"; "" for none
  std::string key_usage;    // "critical,digitalSignature"
};

inline std::string pem_of(auto write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

inline EVP_PKEY* key_of(const TlsIdentity& identity) {
  BIO* pem = BIO_new_mem_buf(identity.private_key_pem.open(Purpose::kDerive).data(),
                             static_cast<int>(identity.private_key_pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(pem, nullptr, nullptr, nullptr);
  BIO_free(pem);
  return key;
}

inline void set_common_name(X509_NAME* of, const std::string& name) {
  X509_NAME_add_entry_by_txt(of, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
}

inline TlsIdentity identity_of(const TestCertificate& wish) {
  EVP_PKEY* key =
      wish.is_ed25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519") : EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wish.from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wish.until_s);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  if (!wish.common_name.empty()) set_common_name(subject, wish.common_name);
  X509_set_issuer_name(certificate, subject);
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, wish.name.c_str());
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  for (const auto& [kind, value] : {std::pair{NID_basic_constraints, &wish.constraints},
                                    std::pair{NID_key_usage, &wish.key_usage}}) {
    if (value->empty()) continue;
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value->c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  EVP_PKEY* signer = key;
  if (wish.issuer != nullptr) {
    signer = key_of(*wish.issuer);
    X509_NAME* issued_by = X509_NAME_new();
    set_common_name(issued_by, "authority.test");
    X509_set_issuer_name(certificate, issued_by);
    X509_NAME_free(issued_by);
  }
  X509_sign(certificate, signer, wish.is_ed25519 ? nullptr : EVP_sha256());
  if (signer != key) EVP_PKEY_free(signer);
  TlsIdentity identity{pem_of([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); }),
                       Secret(pem_of([&](BIO* bio) {
                         PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                       }))};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

}  // namespace gatehouse::net
