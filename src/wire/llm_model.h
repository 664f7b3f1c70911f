// SPDX-License-Identifier: Apache-2.0
// The model that a request is for, exchanged for another: where its body says it, with all other
// bytes as they were, and where its path does. Sans-I/O.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/llm.h"

namespace gatehouse::wire {

// `body` is that of a request to `endpoint`, which `request` is; `model` becomes the one that it is
// for. `asks_usage`: a stream that does not ask for its usage asks for it, where it can.
// Errors: those of LlmRequest::parse; kUnsupported for a body that says its model in several
// places.
[[nodiscard]] Result<std::string> body_for_model(const LlmEndpoint& endpoint,
                                                 const LlmRequest& request, std::string_view body,
                                                 std::string_view model, bool asks_usage);

// The same of a form. Errors: those of form_fields(); kUnsupported where neither the form nor the
// path names a model.
[[nodiscard]] Result<std::string> form_for_model(const LlmEndpoint& endpoint,
                                                 std::string_view content_type,
                                                 std::string_view body, std::string_view model);

// `path` is canonical and that of `endpoint`. Where it says the model it says `model`; `prefix`,
// unless it is "", stands in front of an endpoint of OpenAI's instead of what does. What comes out
// is canonical. Errors: kUnsupported for a model that no path can say, or a prefix where there is
// none.
[[nodiscard]] Result<std::string> path_for_model(const LlmEndpoint& endpoint, std::string_view path,
                                                 std::string_view model, std::string_view prefix);

}  // namespace gatehouse::wire
