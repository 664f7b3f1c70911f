// SPDX-License-Identifier: Apache-2.0
// An agent's card (A2A 0.3 and 1.0), rewritten so that who reads it finds the agent through the
// house: its URLs lead there, and what is not relayed is left out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/a2a.h"

namespace gatehouse::wire {

// Where the reader finds what the card has at `url`; nothing where that is nowhere.
using A2aAddress = std::function<std::optional<std::string>(std::string_view url)>;

struct A2aCard {
  std::string text;
  // Interfaces that are not in it: their bindings, as the card has them.
  std::vector<std::string> left_out;
  // What was signed is not what is read: the signatures would not verify, and are dropped.
  bool had_signatures = false;
};

// The card that is in an answer to a request of that binding. All that is not about interfaces
// keeps its bytes. An answer that tells of an error is as it was. Errors: kUpstream for what is no
// card, or has no interface that is relayed; the message is for people.
[[nodiscard]] Result<A2aCard> card_through(A2aEndpoint::Binding binding, std::string_view answer,
                                           const A2aAddress& address);

}  // namespace gatehouse::wire
