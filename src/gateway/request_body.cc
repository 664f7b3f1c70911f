// SPDX-License-Identifier: Apache-2.0
#include "gateway/request_body.h"

#include "audit/body_list.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kPartsMost = 4096;  // of a body; the list of more is too long for a record
constexpr std::size_t kListedUsual = 64;  // bytes of a part and what is before it, in the list
constexpr std::size_t kBetweenMost = 64;  // bytes between two parts that stand in the list

// All parts that are bodies of their own, with what is long between them; none of a body that is
// stored as it is.
std::vector<wire::LlmPart> cut(const Exchange& of) {
  const auto* const llm = std::get_if<LlmCall>(&of.call);
  std::vector<wire::LlmPart> parts;
  if (llm == nullptr || of.decoded || llm->request.parts.size() < 2) return parts;
  if (of.body->size() < Conversations::kBodyLeast || of.body->size() > Conversations::kBodyMost) {
    return parts;
  }
  std::size_t at = 0;
  const auto cut_until = [&](std::size_t end) {
    if (end - at > kBetweenMost) parts.push_back({at, end - at, false});
  };
  for (const wire::LlmPart& part : llm->request.parts) {
    cut_until(part.at);
    parts.push_back(part);
    at = part.at + part.size;
  }
  cut_until(of.body->size());
  if (parts.size() > kPartsMost) parts.clear();
  return parts;
}

void append_between(std::string& list, std::string_view text) {
  if (text.empty()) return;
  audit::append_part(list, {.size = text.size(), .is_text = true, .text = text});
}

}  // namespace

Task<Result<StoredRequest>> store_request(const Exchange& of, Deadline deadline) {
  Recorder& recorder = of.gate->recorder;
  const std::string_view body = *of.body;
  const std::vector<wire::LlmPart> parts = cut(of);
  StoredRequest stored;
  if (parts.empty()) {
    stored.about = CO_TRY(co_await recorder.store("request", body, deadline));
    co_return stored;
  }
  std::string list;
  list.reserve(parts.size() * kListedUsual);
  stored.parts.reserve(parts.size());
  std::size_t at = 0;
  auto known = of.known.parts.begin();
  for (const wire::LlmPart& part : parts) {
    KnownPart now{part.at, part.size, part.is_message};
    while (known != of.known.parts.end() && known->at < part.at) ++known;
    if (known != of.known.parts.end() && known->at == part.at && known->size == part.size) {
      now.object = known->object;
      now.commitment = known->commitment;
    } else {
      const std::string_view bytes = body.substr(part.at, part.size);
      const BodyRef about = CO_TRY(co_await recorder.store("part", bytes, deadline));
      now.object = about.object;
      now.commitment = about.commitment;
    }
    append_between(list, body.substr(at, part.at - at));
    audit::append_part(list,
                       {.object = now.object, .size = now.size, .commitment = now.commitment});
    stored.parts.push_back(now);
    at = part.at + part.size;
  }
  append_between(list, body.substr(at));
  stored.about = CO_TRY(co_await recorder.store_list("request", list, deadline));
  stored.about.size = body.size();
  co_return stored;
}

}  // namespace gatehouse::gateway
