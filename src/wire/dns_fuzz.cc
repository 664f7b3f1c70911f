// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  const std::string_view message = gatehouse::text_of({data, size});
  (void)dns_format_error(message);
  const auto query = DnsQuery::parse(message);
  if (!query) return 0;
  if (query->type == DnsType::kA && dns_address(*query, IpAddress::v4(1), 1).size() > 512) {
    std::abort();
  }
  if (dns_no_data(*query).size() < 12) std::abort();
  return 0;
}
