// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "host/user_namespace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto range = host::parse_subids(text, "alice", 1000, host::kRangeLeast);
  if (!range) return 0;
  CHECK(range->inside == 1 && range->outside != 0 && range->count >= host::kRangeLeast);
  CHECK(range->outside + range->count > range->outside);
  return 0;
}
