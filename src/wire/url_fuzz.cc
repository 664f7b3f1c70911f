// SPDX-License-Identifier: Apache-2.0
// Canonical forms are their own canonical form.
#include <cstdlib>

#include "base/encoding.h"
#include "wire/path.h"
#include "wire/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  const std::string_view text = gatehouse::text_of({data, size});
  if (const auto url = Url::parse(text); url && Url::parse(url->text()) != *url) std::abort();
  if (const auto host = Host::parse(text); host && Host::parse(host->text()) != *host) std::abort();
  if (const auto ip = IpAddress::parse(text)) {
    (void)address_class(*ip);
    if (IpAddress::parse(ip->text()) != *ip) std::abort();
  }
  (void)Authority::parse(text);
  (void)ipv4_in_disguise(text);
  if (const auto path = canonical_path(text); path && canonical_path(*path) != *path) std::abort();
  const std::size_t half = size / 2;
  (void)path_matches(text.substr(0, half), text.substr(half));
  return 0;
}
