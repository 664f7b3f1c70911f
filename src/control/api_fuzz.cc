// SPDX-License-Identifier: Apache-2.0
// Any bytes as a request to the admin API, as its listener reads it before anybody is known: the
// head, the target, the pages that are asked for, the route, the body.
#include "base/check.h"
#include "base/encoding.h"
#include "control/api.h"
#include "control/present.h"
#include "control/routes.h"
#include "wire/http1.h"

using namespace gatehouse;
using namespace gatehouse::control;

namespace {

void check(const ApiRequest& request) {
  CHECK(request.path.starts_with('/'));
  if (const auto page = parse_page(request.query)) {
    CHECK(page->limit >= 1 && page->limit <= Page::kMost);
    const auto from = parse_position(page->after);
    if (from) CHECK(parse_position(std::to_string(*from)).value_or(0) == *from);
  }
  const Routed routed = route_of(request.method, request.path);
  if (routed.route != nullptr) CHECK(routed.route->method == request.method);
  static_cast<void>(tree_of_json(request.body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  wire::RequestParser parser;
  const auto progress = parser.feed(text);
  if (!progress || !progress->done) return 0;
  const auto request = parse_request(parser.take(), std::string(text.substr(progress->consumed)));
  if (request) check(*request);
  return 0;
}
