// SPDX-License-Identifier: Apache-2.0
#include "gateway/translated_answer.h"

#include <array>

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kWholeMost = 16 * 1024 * 1024;
constexpr std::string_view kEvents = "text/event-stream";

bool is_success(int status) { return status >= 200 && status < 300; }

}  // namespace

TranslatedAnswer::TranslatedAnswer(const Exchange& of, wire::ResponseHead& head,
                                   std::int64_t now_unix_s)
    : from_(*of.aim.translated),
      status_(head.status),
      wants_stream_(std::get<LlmCall>(of.call).request.stream),
      is_stream_(wants_stream_ && is_success(status_)
                 && head.headers.find("content-type").value_or("").starts_with(kEvents)),
      translation_(from_, now_unix_s, of.aim.wants_usage) {
  constexpr std::array<wire::HeaderName, 4> kKept = {"date", "request-id", "retry-after",
                                                     "x-request-id"};
  wire::Headers fields;
  for (const wire::HeaderName name : kKept) {
    if (const auto value = head.headers.find(name.text())) fields.set(name, *value);
  }
  fields.set("content-type", is_stream_ ? kEvents : "application/json");
  head.headers = std::move(fields);
}

Result<std::string> TranslatedAnswer::feed(std::string_view piece) {
  if (is_stream_) return translation_.feed(piece);
  if (whole_.size() + piece.size() > kWholeMost) {
    return failure(Error::kUpstream, "the provider's answer is too large to be carried over");
  }
  whole_ += piece;
  return std::string();
}

Result<std::string> TranslatedAnswer::finish() {
  if (is_stream_) return translation_.finish();
  if (!is_success(status_)) return wire::translated_error(from_, status_, whole_);
  if (wants_stream_) {
    return failure(Error::kUpstream, "the provider was asked for a stream, and sent none");
  }
  return translation_.whole(whole_);
}

}  // namespace gatehouse::gateway
