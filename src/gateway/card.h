// SPDX-License-Identifier: Apache-2.0
// Another agent's card as the agent is given it: whoever follows it goes through this house.
#pragma once

#include <string_view>

#include "gateway/exchange.h"
#include "wire/a2a_card.h"

namespace gatehouse::gateway {

// `answer` is that to the Exchange, an AgentCall that asked for a card. An interface at the
// upstream of one of the tenant's agents leads to where that Service is found; any other is taken
// for the Service's own, which is asked behind another name. Errors: card_through's.
[[nodiscard]] Result<wire::A2aCard> card_for_agent(const Exchange& of, std::string_view answer);

}  // namespace gatehouse::gateway
