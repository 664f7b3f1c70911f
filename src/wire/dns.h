// SPDX-License-Identifier: Apache-2.0
// One DNS query and its answer (RFC 1035), for the stub that sandboxes see. One question, class IN,
// no compression in it; an EDNS record (RFC 6891) may follow and is ignored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/address.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxDnsMessage = 512;  // RFC 1035 section 4.2.1

enum class DnsType : std::uint16_t { kA = 1, kAaaa = 28 };  // others keep their number
enum class DnsAnswer : std::uint8_t {
  kFormatError = 1,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5
};

struct DnsQuery {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  DnsType type = DnsType::kA;
  std::string name;      // lower case, without the trailing dot; "" is the root
  std::string question;  // as it was sent, for the answer (its letters' case is a nonce to some)

  // Errors: kInvalid; also for names with bytes that no host name has, which an answer of format
  // error suits; kUnsupported for opcodes but QUERY and classes but IN.
  [[nodiscard]] static Result<DnsQuery> parse(std::string_view message);
};

// An A or AAAA record. The address must be of the question's family.
[[nodiscard]] std::string dns_address(const DnsQuery& query, const IpAddress& address,
                                      std::uint32_t ttl_seconds);
// The name exists, without records of that type.
[[nodiscard]] std::string dns_no_data(const DnsQuery& query);
[[nodiscard]] std::string dns_failure(const DnsQuery& query, DnsAnswer answer);
// For a message that is not a query: empty when it is too short to answer or is itself an answer.
[[nodiscard]] std::string dns_format_error(std::string_view message);

}  // namespace gatehouse::wire
