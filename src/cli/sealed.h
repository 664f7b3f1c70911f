// SPDX-License-Identifier: Apache-2.0
// A credential on its way into the vault leaves this process only sealed to the vault's key.
#pragma once

#include <string>

#include "base/secret.h"
#include "cli/client.h"

namespace gatehouse::cli {

// crypto_box_seal of the value, for the key that the vault names. Errors: kUnavailable, and what
// the house refused with.
[[nodiscard]] Result<std::string> sealed_for_vault(Client& client, const Secret& secret);

}  // namespace gatehouse::cli
