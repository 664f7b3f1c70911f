// SPDX-License-Identifier: Apache-2.0
// A file that the config names and that holds a secret: one that everyone may read is refused.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/wiped.h"

namespace gatehouse::control {

struct PrivateFile {
  std::string_view key;  // of the config, that names it
  std::string path;
  std::string_view holds;  // for people: "the proxy's credentials"
  std::size_t most = 0;    // bytes
};

// What it holds, and of a longer one a byte more than it may. Errors: kDenied (everyone may read
// it), those of open(2) and read(2), with its name.
[[nodiscard]] Result<void> read_private_file(const PrivateFile& file, WipedText& into);

}  // namespace gatehouse::control
