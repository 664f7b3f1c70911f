// SPDX-License-Identifier: Apache-2.0
// However it comes in, a ClientHello is read the same; a longer beginning never un-reads a name.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gatehouse::wire::read_client_hello;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const auto whole = read_client_hello(all);
  for (std::size_t cut = 0; cut < size && cut < 600; ++cut) {
    const auto part = read_client_hello(all.substr(0, cut));
    // What is refused early is refused whole, and what is known early stays.
    if (!part) CHECK(!whole);
    if (part && part->is_whole && whole && whole->is_whole) {
      CHECK(part->server_name == whole->server_name);
    }
  }
  return 0;
}
