// SPDX-License-Identifier: Apache-2.0
// The names that google.rpc.Status has for errors, by HTTP's statuses: Gemini's API and A2A's
// HTTP+JSON binding tell theirs by them (https://cloud.google.com/apis/design/errors).
#pragma once

#include <string_view>

namespace gatehouse::wire {

[[nodiscard]] constexpr std::string_view google_status(int http_status) {
  switch (http_status) {
    case 400:
    case 413:
      return "INVALID_ARGUMENT";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 501:
      return "UNIMPLEMENTED";
    case 503:
      return "UNAVAILABLE";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return "INTERNAL";
  }
}

}  // namespace gatehouse::wire
