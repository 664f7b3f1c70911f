// SPDX-License-Identifier: Apache-2.0
#include "gateway/injection.h"

#include "base/encoding.h"
#include "base/wiped.h"

namespace gatehouse::gateway {
namespace {

Result<void> append_basic(std::string& out, const Leased& leased, std::string_view original,
                          std::string_view value) {
  const std::string pair = TRY(from_base64(wire::trimmed(original.substr(6))));
  const std::size_t in_pair = pair.find(leased.lent().placeholder);
  if (in_pair == std::string::npos) {
    return failure(Error::kDenied, "the placeholder is encoded in a way that is not understood");
  }
  WipedText filled;
  filled.text.reserve(pair.size() + value.size());
  filled.text.append(pair, 0, in_pair).append(value);
  filled.text.append(pair, in_pair + leased.lent().placeholder.size());
  WipedText encoded;
  encoded.text = to_base64(filled.text);
  out.append("Basic ").append(encoded.text);
  return {};
}

}  // namespace

Result<SecretField> credential_field(const Leased& leased, std::string_view original) {
  const std::string_view value = leased.lent().value.open(Purpose::kInject);
  if (!wire::all_are(wire::kValueChar, value)) {
    return failure(Error::kLeaseRefused,
                   "the stored credential holds characters that no header may");
  }
  const Exchange& of = *leased;
  const ipc::ServiceSpec& to = *of.aim.service;
  SecretField field(std::string(of.is_elsewhere() ? to.credential_header : leased.lent().header),
                    original.size() + to.credential_prefix.size() + 2 * value.size());
  const std::size_t at = original.find(leased.lent().placeholder);
  if (original == leased.lent().placeholder) {
    field.value.append(to.credential_prefix).append(value);
  } else if (at != std::string_view::npos) {
    field.value.append(original, 0, at).append(value);
    field.value.append(original, at + leased.lent().placeholder.size());
  } else {
    TRY(append_basic(field.value, leased, original, value));
  }
  return field;
}

}  // namespace gatehouse::gateway
