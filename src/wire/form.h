// SPDX-License-Identifier: Apache-2.0
// Forms (multipart/form-data, RFC 7578 with RFC 2046 section 5.1) looked at in place: which fields
// there are, and the byte ranges of their values. Refused: what two readers could take differently,
// so that the field that was ruled on is the one that the other side reads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::wire {

inline constexpr std::size_t kFormFieldsMost = 1024;

// Views of the body.
struct FormField {
  std::string_view name;
  std::string_view value;
  bool is_file = false;  // it has a file's name, and says what a file says
};

// Whether a body of that content type is a form.
[[nodiscard]] bool is_form(std::string_view content_type);

// The fields, in order. Errors: kInvalid without one boundary, for bytes before the first delimiter
// or behind the last one, a part that has no end, and a part whose fields or name are not as RFC
// 7578 has them: a bare CR or LF, a folded line, a name with an escape, a transfer coding;
// kTooMany above 1024.
[[nodiscard]] Result<std::vector<FormField>> form_fields(std::string_view content_type,
                                                         std::string_view body);

// The value of the field of that name, which is no file; null where there is none. Errors: kInvalid
// where there are several, or it is a file.
[[nodiscard]] Result<const FormField*> only_field(const std::vector<FormField>& fields,
                                                  std::string_view name);

}  // namespace gatehouse::wire
