// SPDX-License-Identifier: Apache-2.0
#include "gateway/signing.h"

#include <fmt/format.h>

#include "wire/characters.h"
#include "wire/sigv4.h"

namespace gatehouse::gateway {

std::string host_field(const Destination& to) {
  const std::string host = to.host.contains(':') ? "[" + to.host + "]" : to.host;
  const std::uint16_t usual = to.tls ? 443 : 80;
  return to.port == usual ? host : fmt::format("{}:{}", host, to.port);
}

void make_ready_to_sign(wire::Headers& headers, const std::string& date) {
  for (const char* name : {"x-amz-security-token", "x-amz-content-sha256"}) headers.remove(name);
  headers.set("x-amz-date", date);
}

Result<std::string> canonical_request(const Ruled& ruled, const std::string& date) {
  const bool has_body = ruled->request.head.framing.kind != wire::BodyFraming::Kind::kNone;
  if (has_body && !ruled->body) {
    return failure(Error::kUnsupported,
                   "a request that is signed for AWS must be here as a whole, and this one is too "
                   "large or too slow");
  }
  wire::Headers headers = headers_for(*ruled);
  make_ready_to_sign(headers, date);
  std::vector<std::pair<std::string, std::string>> chosen = {
      {"host", host_field(ruled->aim.destination)}};
  for (const wire::Header header : headers) {
    std::string name = wire::lowered(header.name);
    if (name != "content-type" && !name.starts_with("x-amz-")) continue;
    chosen.emplace_back(std::move(name), std::string(header.value));
  }
  const std::size_t path_size = std::min(ruled->aim.target.find('?'), ruled->aim.target.size());
  const std::string_view target = ruled->aim.target;
  return wire::sigv4_canonical_request(ruled->request.head.method, target.substr(0, path_size),
                                       target.substr(path_size), std::move(chosen),
                                       ruled->body ? ruled->sent_body() : "");
}

}  // namespace gatehouse::gateway
