// SPDX-License-Identifier: Apache-2.0
// The config with the files that it names, as the supervisor reads them and hands them to control,
// which has no way to them once it is confined. Control decodes them again and believes nothing.
#pragma once

#include <string>
#include <vector>

#include "control/config.h"
#include "net/descriptor.h"

namespace gatehouse::control {

inline constexpr std::size_t kBundleMost = std::size_t{16} * 1024 * 1024;  // bytes

// In sealed memory, once the whole is valid; `config` is what it says. Errors: as load_config.
struct Bundle {
  net::Descriptor memory;
  Config config;
};
[[nodiscard]] Result<Bundle> read_bundle(const std::string& path);

// What was handed over. Errors: kInvalid with all problems, a line each; kTooLarge.
[[nodiscard]] Result<Config> config_of_bundle(const net::Descriptor& memory);

}  // namespace gatehouse::control
