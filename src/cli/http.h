// SPDX-License-Identifier: Apache-2.0
// The CLI's HTTP client: one request, one answer, one connection. To a unix socket of the house's,
// or by URL.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/loop.h"
#include "net/task.h"

namespace gatehouse::cli {

struct HttpPlace {
  std::string socket;  // the path of a unix socket; "": `origin` says where
  std::string origin;  // scheme://host[:port]
  std::string ca_pem;  // additional trust anchors
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;  // beside Host and Content-Length
  std::string body;
};

struct HttpReply {
  int status = 0;
  std::string body;  // at most 64 MiB
  std::string etag;
  std::string type;  // of the content
};

// Errors: kUnavailable (nobody listens there), kUnreachable, kUpstream (not HTTP, not trusted),
// kTimeout, kTooLarge.
[[nodiscard]] Result<HttpReply> http(const HttpPlace& place, const HttpRequest& request);
// The same beside whatever else that Loop runs.
[[nodiscard]] net::Task<Result<HttpReply>> http_on(net::Loop& loop, HttpPlace place,
                                                   HttpRequest request);

}  // namespace gatehouse::cli
