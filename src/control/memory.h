// SPDX-License-Identifier: Apache-2.0
// Bytes that are handed to another process in memory, which nobody can change any more.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::control {

// `name` is for people who look (memfd_create(2)). Errors: kExhausted.
[[nodiscard]] Result<net::Descriptor> sealed_memory(const char* name, const std::string& bytes);
// What lies in it. Errors: kInvalid when it could still be changed, kTooLarge above `most` bytes.
[[nodiscard]] Result<std::string> bytes_of_memory(const net::Descriptor& memory, std::size_t most);

}  // namespace gatehouse::control
