// SPDX-License-Identifier: Apache-2.0
// A request to the admin API and its answer, as values: what HTTP carries, and a test calls
// without it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {
struct RequestHead;
}

namespace gatehouse::control {

inline constexpr std::size_t kApiBodyMost = 256 * 1024;  // bytes of a request's
inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kProblemType = "application/problem+json";  // RFC 9457

struct ApiRequest {
  std::string method;
  std::string host;  // that the request is for, without its port; "" for none
  std::string path;  // canonical, without query
  std::map<std::string, std::string> query;
  std::string authorization;    // the header's value; "" for none, so below
  std::string if_match;         // RFC 9110 section 13.1.1
  std::string idempotency_key;  // draft-ietf-httpapi-idempotency-key-header
  std::string body;
  // Who is at the other end of the unix socket, if that decides: root, or the data's owner.
  bool is_house = false;
  std::uint32_t uid = 0;
};

struct ApiAnswer {
  int status = 200;
  std::string body;
  std::string type = std::string(kJsonType);
  std::string etag;
  std::string location;
  bool is_replayed = false;  // an answer from before, by its Idempotency-Key
};

// An error as an answer: application/problem+json with `type`, `title`, `status`, `detail`. A
// status of 0 is the error's own.
[[nodiscard]] ApiAnswer problem_of(const Error& error, int status = 0);

[[nodiscard]] ApiAnswer json_answer(std::string body, int status = 200);
// SHA-256 in hexadecimal.
[[nodiscard]] std::string sha256_text(std::string_view text);

// The target of a request taken apart. Errors: kInvalid (a path or a query that cannot be read in
// one way, a name in the query that is there twice).
struct ApiTarget {
  std::string path;
  std::map<std::string, std::string> query;
};
[[nodiscard]] Result<ApiTarget> parse_target(std::string_view path_and_query);

// A request as its bytes came, but for who is at the other end. Errors: kInvalid (a target that is
// no path, a header that counts there twice).
[[nodiscard]] Result<ApiRequest> parse_request(const wire::RequestHead& head, std::string body);

// Which part of a list is asked for, by `limit` and `page_token`. Errors: kInvalid.
struct Page {
  static constexpr std::size_t kUsual = 100;
  static constexpr std::size_t kMost = 500;
  std::size_t limit = kUsual;
  std::string after;  // what the page before ended with, "" for the first
};
[[nodiscard]] Result<Page> parse_page(const std::map<std::string, std::string>& query);
// A page's end that is a number; 0 for the first. Errors: kInvalid.
[[nodiscard]] Result<std::uint64_t> parse_position(std::string_view after);

}  // namespace gatehouse::control
