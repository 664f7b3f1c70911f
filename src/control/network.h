// SPDX-License-Identifier: Apache-2.0
// The part of gatehouse.yaml that says how the house reaches the world: `extra_ca` and
// `upstream_proxy`. It is of the house, not of a tenant, and changes in the file alone.
#pragma once

#include "control/config.h"
#include "control/yaml.h"

namespace gatehouse::control {

// Takes its keys out of the file's top level.
[[nodiscard]] Network decode_network(Section& file, const ReadNamed& read, Problems& problems);

// The value of Proxy-Authorization (RFC 7617) from the file that the config names, which holds
// `user:password`, one line of at most 4096 bytes; empty when it names none. It is read as whoever
// may read it, so before root is given up. Errors: kNotFound, kDenied (others may read it),
// kInvalid; none shows what the file holds.
[[nodiscard]] Result<Secret> proxy_authorization(const Network& network);

}  // namespace gatehouse::control
