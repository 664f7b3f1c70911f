// SPDX-License-Identifier: Apache-2.0
// The span of a Run as a whole, which the spans of its Exchanges are below, but for those whose
// agent names another of its trace: the random half of the Run's id, so that nobody has to be told.
#pragma once

#include <algorithm>

#include "base/id.h"

namespace gatehouse::audit {

[[nodiscard]] inline SpanId root_span_of(const RunId& run) {
  SpanId span;
  std::copy_n(run.bytes().begin() + span.bytes.size(), span.bytes.size(), span.bytes.begin());
  return span;
}

}  // namespace gatehouse::audit
