// SPDX-License-Identifier: Apache-2.0
#include "net/spiffe.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace gatehouse::net {
namespace {

constexpr std::string_view kScheme = "spiffe://";

Failure no_id(std::string_view why) {
  return failure(Error::kInvalid, fmt::format("no SPIFFE ID: {}", why));
}

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_of_trust_domain(char c) { return is_lower_or_digit(c) || c == '.' || c == '-' || c == '_'; }
bool is_of_path(char c) { return is_of_trust_domain(c) || (c >= 'A' && c <= 'Z'); }

// Begins with a slash.
Result<void> check_path(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty()) return no_id("a segment of its path is empty");
    if (segment == "." || segment == "..") return no_id("its path has a relative segment");
    if (!std::all_of(segment.begin(), segment.end(), is_of_path)) {
      return no_id("its path has other characters than letters, digits, '.', '-' and '_'");
    }
    path.remove_prefix(segment.size());
  }
  return {};
}

Failure no_svid(std::string_view why) {
  return failure(Error::kUpstream, fmt::format("its certificate is no X509-SVID: {}", why));
}

// The one URI among its names. Errors: kUpstream.
Result<std::string> uri_of(const X509* certificate) {
  struct Free {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  };
  const std::unique_ptr<GENERAL_NAMES, Free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string uri;
  int count = 0;
  for (int i = 0; i < (names ? sk_GENERAL_NAME_num(names.get()) : 0); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    ++count;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
               static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  if (count == 0) return no_svid("it names no URI");
  if (count > 1) return no_svid("it names more than one URI");
  return uri;
}

}  // namespace

Result<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kMost) return no_id("it has more than 2048 bytes");
  if (!text.starts_with(kScheme)) return no_id("it does not begin with spiffe://");
  const std::string_view rest = text.substr(kScheme.size());
  const std::string_view domain = rest.substr(0, rest.find('/'));
  if (domain.empty()) return no_id("it has no trust domain");
  if (domain.size() > kTrustDomainMost) return no_id("its trust domain has more than 255 bytes");
  if (!std::all_of(domain.begin(), domain.end(), is_of_trust_domain)) {
    return no_id("its trust domain has other characters than a-z, digits, '.', '-' and '_'");
  }
  TRY(check_path(rest.substr(domain.size())));
  return SpiffeId(std::string(text));
}

std::string_view SpiffeId::trust_domain() const {
  const std::string_view rest = std::string_view(text_).substr(kScheme.size());
  return rest.substr(0, rest.find('/'));
}

std::string_view SpiffeId::path() const {
  return std::string_view(text_).substr(kScheme.size() + trust_domain().size());
}

bool SpiffeId::covers(const SpiffeId& other) const {
  return path().empty() ? trust_domain() == other.trust_domain() : text_ == other.text_;
}

Result<SpiffeId> spiffe_id_of(const x509_st* certificate) {
  // OpenSSL keeps what it has read of the extensions with the certificate.
  X509* read = const_cast<X509*>(certificate);
  const std::uint32_t flags = X509_get_extension_flags(read);
  if ((flags & EXFLAG_INVALID) != 0) return no_svid("its extensions cannot be read");
  if ((flags & EXFLAG_CA) != 0) return no_svid("it is one of an authority");
  if ((flags & EXFLAG_KUSAGE) != 0) {
    const std::uint32_t usage = X509_get_key_usage(read);
    if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) {
      return no_svid("its key may sign certificates or their revocation");
    }
    if ((usage & KU_DIGITAL_SIGNATURE) == 0) return no_svid("its key may not sign");
  } else {
    return no_svid("it does not say what its key may be used for");
  }
  auto id = SpiffeId::parse(TRY(uri_of(certificate)));
  if (!id) return no_svid(id.error().message());
  if (id->path().empty()) return no_svid("its SPIFFE ID is a trust domain's and no workload's");
  return id;
}

}  // namespace gatehouse::net
