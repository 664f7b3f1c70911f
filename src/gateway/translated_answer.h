// SPDX-License-Identifier: Apache-2.0
// The answer of a model route's target that speaks another dialect, made into the agent's: its
// head, and its body, event by event or, where it is no stream, as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/exchange.h"
#include "wire/translation.h"

namespace gatehouse::gateway {

class TranslatedAnswer {
 public:
  // `of` is aimed at such a target. Of the head's fields go on those that mean the same to the
  // agent.
  TranslatedAnswer(const Exchange& of, wire::ResponseHead& head, std::int64_t now_unix_s);

  // Else nothing goes to the agent before all of it has come: what is wrong with it is known then.
  [[nodiscard]] bool is_stream() const { return is_stream_; }
  // A piece of what came; what goes to the agent of it, which may be nothing yet. Errors:
  // kUpstream.
  [[nodiscard]] Result<std::string> feed(std::string_view piece);
  // It has ended: what goes to the agent yet. Errors: kUpstream, also for an answer that is none of
  // its dialect's, or none of what was asked for.
  [[nodiscard]] Result<std::string> finish();
  // What the provider said.
  [[nodiscard]] const wire::LlmAnswer& answer() const { return translation_.answer(); }

 private:
  wire::TranslatedTo from_;
  int status_;
  bool wants_stream_;
  bool is_stream_;
  wire::AnswerTranslation translation_;
  std::string whole_;  // of what is no stream, until it is here
};

}  // namespace gatehouse::gateway
