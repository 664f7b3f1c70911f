// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/a2a.h"
#include "wire/a2a_answer.h"
#include "wire/a2a_card.h"
#include "wire/json.h"
#include "wire/path.h"

namespace {

using namespace gatehouse::wire;
using Binding = A2aEndpoint::Binding;

void check(bool holds) {
  if (!holds) std::abort();
}

void drive_path(std::string_view text) {
  (void)a2a_version("", text);
  const auto path = canonical_path(text);
  if (!path) return;
  for (const char* method : {"GET", "POST", "DELETE"}) {
    const A2aEndpoint endpoint = a2a_endpoint(method, *path, "application/json");
    check((endpoint.binding == Binding::kHttpJson) == (endpoint.operation != A2aOperation::kOther));
    check(endpoint.task.empty() || path->contains("tasks"));
  }
}

void drive_request(std::string_view text) {
  const auto call =
      A2aCall::parse({Binding::kJsonRpc, A2aOperation::kOther, ""}, A2aVersion::k10, text);
  if (call) {
    check(!call->name().empty());
    check(call->webhook.empty() || call->gives_webhook);
  }
  const gatehouse::Error error(gatehouse::Error::kDenied, std::string(text));
  check(scan_object(a2a_error_json(Binding::kJsonRpc, call ? call->id : "", {error, text}))
            .has_value());
  check(scan_object(a2a_error_json(Binding::kHttpJson, "", {error, text})).has_value());
  for (const A2aOperation operation :
       {A2aOperation::kSendMessage, A2aOperation::kCreateTaskPushNotificationConfig,
        A2aOperation::kCancelTask}) {
    (void)A2aCall::parse({Binding::kHttpJson, operation, "t"}, A2aVersion::k03, text);
  }
}

// In pieces of any size, the same stream goes on and the same is read.
void drive_answer(std::string_view text, std::size_t size) {
  A2aAnswerReader whole(Binding::kJsonRpc);
  std::string given(whole.feed(text));
  given += whole.finish();
  check(given == text);
  A2aAnswerReader pieces(Binding::kJsonRpc);
  std::string again;
  for (std::size_t at = 0; at < text.size(); at += size) {
    again += pieces.feed(text.substr(at, size));
  }
  again += pieces.finish();
  check(again == text);
  check(whole.answer().text == pieces.answer().text);
  check(whole.answer().task == pieces.answer().task);
  for (const Binding binding : {Binding::kJsonRpc, Binding::kHttpJson}) {
    A2aAnswerReader(binding).read_whole(text);
  }
}

std::optional<std::string> house(std::string_view) { return "http://house.test/"; }

// What is rewritten once stays so.
void drive_card(std::string_view text) {
  for (const Binding binding : {Binding::kJsonRpc, Binding::kHttpJson}) {
    const auto card = card_through(binding, text, house);
    if (!card) continue;
    const auto again = card_through(binding, card->text, house);
    check(again && again->left_out.empty() && !again->had_signatures);
    if (binding == Binding::kHttpJson) check(again->text == card->text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = gatehouse::text_of({data, size}).substr(1);
  drive_path(text);
  drive_request(text);
  drive_answer(text, data[0] % 64U + 1);
  drive_card(text);
  return 0;
}
