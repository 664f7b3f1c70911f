// SPDX-License-Identifier: Apache-2.0
// What a model was newly told and what it answered, where it is not on record as bodies of its own:
// the request or the response that is says it, and is read again the way the gateway read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"
#include "audit/transcript.h"

namespace gatehouse::audit {

// Tags: the name of the body, of the same Exchange, that says it. Of an Intent "llm.input"; of its
// end "llm.text", "llm.reasoning" and "llm.tool_calls" of an answer that is no stream.
inline constexpr std::string_view kInputIn = "llm.input.in";
inline constexpr std::string_view kAnswerIn = "llm.answer.in";

struct Again {
  std::string name;  // as the body would be called
  Result<std::string> text;
};

// None where the Entries have bodies, or it said nothing. What cannot be read is there with why:
// errors of `fetch`; kCorrupt when the body is not what its Entry says.
[[nodiscard]] std::vector<Again> read_again(const Entry& entry, const FetchBody& fetch);

}  // namespace gatehouse::audit
