// SPDX-License-Identifier: Apache-2.0
// RECORD: the Entries of the gateway. An Intent before an effect, a refusal, an alarm.
#pragma once

#include <string>
#include <string_view>

#include "gateway/door.h"
#include "gateway/gate.h"
#include "gateway/intent.h"
#include "gateway/rulebook.h"

namespace gatehouse::gateway {

inline constexpr std::size_t kPathMost = 2048;  // bytes of it in an Entry

// A refusal that has no Exchange: a name, a captured connection, a CONNECT; `error`: the label of
// what cannot be read. Never waits.
void record_refusal(Gate& gate, const Door& door, std::string_view method, std::string_view target,
                    const Ruling& ruling, std::string_view error = {});

struct Unrecorded;
// What was refused before it could be ruled on, or could not be put on record then. Nothing where
// the log is away: what it is kept for must have room for what ends. Never waits.
void record_unread(Gate& gate, const Door& door, const Unrecorded& exchange, std::string_view rule,
                   const Error& why);

// What an answer names as the rule when a placeholder is sent where it is not bound to.
inline constexpr std::string_view kPlaceholderBinding = "placeholder-binding";

// The alarm that a placeholder was sent with what has no Exchange: a CONNECT. Never waits.
void record_misuse(Gate& gate, const Door& door, std::string_view method, std::string_view target,
                   const ipc::Placeholder& placeholder);

// The Intent of a tunnel, durable. Errors: kAuditUnavailable.
[[nodiscard]] net::Task<Result<Intent>> open_tunnel_intent(Gate& gate, const Door& door,
                                                           const wire::Host& host,
                                                           std::uint16_t port,
                                                           const Ruling& ruling);

}  // namespace gatehouse::gateway
