// SPDX-License-Identifier: Apache-2.0
// The fields of W3C Trace Context (https://www.w3.org/TR/trace-context/; traceparent: section 3.2,
// tracestate: 3.3 of level 2).
#pragma once

#include <string>
#include <string_view>

#include "base/id.h"

namespace gatehouse::wire {

struct TraceParent {
  TraceId trace;
  SpanId parent;
  bool sampled = false;

  // Version 00 exactly; of a later one its first 55 characters, if a '-' or nothing follows.
  // Errors: kInvalid, also for version ff, upper-case digits and ids that are all zero.
  [[nodiscard]] static Result<TraceParent> parse(std::string_view text);
  [[nodiscard]] std::string text() const;  // version 00
};

// A tracestate field (section 3.3), its members as they came and without empty ones. Errors:
// kInvalid for more than 32 members, a key or a value that is none, and a key that comes twice: it
// is to be dropped then.
[[nodiscard]] Result<std::string> parse_tracestate(std::string_view text);

}  // namespace gatehouse::wire
