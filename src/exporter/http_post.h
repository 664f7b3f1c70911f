// SPDX-License-Identifier: Apache-2.0
// One POST over a fresh connection, and its answer, bounded.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "net/stream.h"
#include "wire/headers.h"
#include "wire/url.h"

namespace gatehouse::exporter {

struct PostAnswer {
  int status = 0;
  wire::Headers headers;
  std::string body;  // at most 64 KiB; of a longer one, its beginning
};

// `fields` are further lines of the head, each with its CRLF, that the caller vouches for; they may
// hold a secret and are wiped with the request. Errors: kUpstream, kTimeout; it may have been acted
// on.
[[nodiscard]] net::Task<Result<PostAnswer>> post(net::Stream* stream, wire::Url to,
                                                 std::string_view fields, std::string body,
                                                 Deadline deadline);

}  // namespace gatehouse::exporter
