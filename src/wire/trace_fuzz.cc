// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gatehouse::wire::TraceParent;
  const auto parsed = TraceParent::parse(gatehouse::text_of({data, size}));
  if (parsed && TraceParent::parse(parsed->text())->trace != parsed->trace) std::abort();
  const auto state = gatehouse::wire::parse_tracestate(gatehouse::text_of({data, size}));
  if (state && gatehouse::wire::parse_tracestate(*state) != *state) std::abort();
  return 0;
}
