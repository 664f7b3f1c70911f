// SPDX-License-Identifier: Apache-2.0
// The variables by which unmodified programs find the proxy and trust what it intercepts, in a
// sandbox and outside of one.
#pragma once

#include <string>
#include <vector>

namespace gatehouse::ipc {

// NAME=VALUE each. `proxy` is its URL; loopback is not asked for through it.
[[nodiscard]] std::vector<std::string> proxy_variables(const std::string& proxy);
// `bundle` is a file of trust anchors (PEM). Most of these replace a program's store, so that it
// must hold the host's anchors too.
[[nodiscard]] std::vector<std::string> trust_variables(const std::string& bundle);

}  // namespace gatehouse::ipc
