// SPDX-License-Identifier: Apache-2.0
// The traceparent field of W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2).
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

}  // namespace gatehouse::wire
