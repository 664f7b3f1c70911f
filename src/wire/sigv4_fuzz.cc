// SPDX-License-Identifier: Apache-2.0
// What a signer reads of a canonical request is what its maker put in; nothing else is signed.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/sigv4.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text = text_of({data, size});
  if (const auto read = wire::SigV4Request::parse(text)) {
    CHECK(wire::sigv4_date(read->date_unix_s).starts_with(read->date.substr(0, 4)));
    CHECK(wire::sigv4_authorization(Secret("id:secret"), "r", "s", text));
  }
  const std::string made = wire::sigv4_canonical_request(
      "POST", "/" + percent_encoded(text), "?" + std::string(text.substr(0, text.find('\n'))),
      {{"host", "a.test"}, {"x-amz-date", "20150830T123600Z"}}, text);
  if (made.size() > wire::kMaxCanonicalRequest) return 0;
  const auto again = wire::SigV4Request::parse(made);
  CHECK(again && again->host == "a.test" && again->signed_headers == "host;x-amz-date");
  return 0;
}
