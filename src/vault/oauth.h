// SPDX-License-Identifier: Apache-2.0
// OAuth 2.0 as the vault speaks it (RFC 6749 with PKCE, RFC 7636, and issuer identification, RFC
// 9207): forms out, token answers in. No I/O: the courier carries them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "ipc/control_vault.h"

namespace gatehouse::vault {

// Strong types of what must never be where it does not belong. No message of the gateway's contract
// can carry the first two.
struct RefreshToken {
  Secret value;
};
struct ClientSecret {
  Secret value;
};
struct AccessToken {
  Secret value;
  std::int64_t expires_unix_ms = 0;  // 0: not said
};

struct TokenAnswer {
  AccessToken access;
  std::optional<RefreshToken> refresh;  // absent: the old one stays
  std::string scope;                    // "" when it is as asked for
};

// Reads a token endpoint's answer (RFC 6749 sections 5.1 and 5.2). Errors: kUpstream with the
// server's `error` and description; kDenied for invalid_grant: the person must consent again.
[[nodiscard]] Result<TokenAnswer> parse_token_answer(std::int32_t status, const Secret& body,
                                                     std::int64_t now_unix_ms);

// 43 characters of 32 random bytes, and its S256 challenge.
[[nodiscard]] Secret make_verifier();
[[nodiscard]] std::string challenge_of(const Secret& verifier);

[[nodiscard]] std::string authorization_url(const ipc::PublishService& service,
                                            std::string_view redirect_uri, std::string_view state,
                                            const Secret& verifier);
[[nodiscard]] Secret code_form(const ipc::PublishService& service, const Secret& code,
                               std::string_view redirect_uri, const Secret& verifier,
                               bool confidential);
[[nodiscard]] Secret refresh_form(const ipc::PublishService& service, const RefreshToken& token,
                                  bool confidential);
// `Basic ...` with id and secret form-encoded first (RFC 6749 section 2.3.1).
[[nodiscard]] Secret basic_authorization(std::string_view client_id, const ClientSecret& secret);

// A connection's tokens as they are sealed, and back. Errors: kCorrupt.
struct Tokens {
  AccessToken access;
  RefreshToken refresh;  // empty: the server gave none
  std::string scope;
  std::string state;  // "ok", "suspect", "reconsent_required"
};
[[nodiscard]] Secret tokens_text(const Tokens& tokens);
[[nodiscard]] Result<Tokens> parse_tokens(const Secret& text);

}  // namespace gatehouse::vault
