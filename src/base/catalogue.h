// SPDX-License-Identifier: Apache-2.0
// What a person reads of an error's code: why it comes, and what to do. docs/errors.md is made of
// it (tools/error-catalogue).
#pragma once

#include <string_view>

#include "base/result.h"

namespace gatehouse {

struct ErrorText {
  Error::Code code;
  std::string_view cause;   // a sentence without its full stop
  std::string_view remedy;  // the same, in the imperative
};
[[nodiscard]] const ErrorText& text_of(Error::Code code);

}  // namespace gatehouse
