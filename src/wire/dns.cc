// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.h"

#include "base/check.h"
#include "base/encoding.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kMaxWireName = 255;
constexpr unsigned kResponse = 0x8000;
constexpr unsigned kOpcode = 0x7800;
constexpr unsigned kTruncated = 0x0200;
constexpr unsigned kRecursionDesired = 0x0100;
constexpr unsigned kRecursionAvailable = 0x0080;

unsigned word(std::string_view text, std::size_t at) {
  return static_cast<unsigned>(static_cast<unsigned char>(text[at])) << 8
         | static_cast<unsigned char>(text[at + 1]);
}
void put_word(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}

Failure bad(std::string_view what) {
  return failure(Error::kInvalid, "DNS query: " + std::string(what));
}

// The name at `at`, which moves behind it.
Result<std::string> name_at(std::string_view message, std::size_t& at) {
  std::string name;
  const std::size_t begin = at;
  while (at < message.size()) {
    const auto size = static_cast<unsigned char>(message[at]);
    if (size > 63) return bad("a question has no compressed names");
    ++at;
    if (size == 0) return name;
    if (at + size > message.size() || at + size - begin >= kMaxWireName) break;
    if (!name.empty()) name += '.';
    for (const char c : message.substr(at, size)) {
      if (!is(kVisibleChar, c) || c == '.' || c == '\\') {
        return bad("the name has a byte that no host name has");
      }
      name += lowered(c);
    }
    at += size;
  }
  return bad("the name is too long or cut short");
}

std::string answer(const DnsQuery& query, unsigned code, unsigned records) {
  std::string out;
  put_word(out, query.id);
  put_word(out, kResponse | kRecursionAvailable | code
                    | (query.recursion_desired ? kRecursionDesired : 0U));
  put_word(out, 1);
  put_word(out, records);
  put_word(out, 0);
  put_word(out, 0);
  return out + query.question;
}

}  // namespace

Result<DnsQuery> DnsQuery::parse(std::string_view message) {
  if (message.size() < kHeader) return bad("is shorter than a header");
  if (message.size() > kMaxDnsMessage) {
    return failure(Error::kTooLarge, "DNS query: is longer than 512 bytes");
  }
  const unsigned flags = word(message, 2);
  if ((flags & (kResponse | kTruncated)) != 0) return bad("is an answer, or cut short");
  if ((flags & kOpcode) != 0) return failure(Error::kUnsupported, "DNS: only QUERY is answered");
  if (word(message, 4) != 1 || word(message, 6) != 0 || word(message, 8) != 0) {
    return bad("must have one question and no answers");
  }
  DnsQuery query;
  query.id = static_cast<std::uint16_t>(word(message, 0));
  query.recursion_desired = (flags & kRecursionDesired) != 0;
  std::size_t at = kHeader;
  query.name = TRY(name_at(message, at));
  if (at + 4 > message.size()) return bad("the question is cut short");
  query.type = static_cast<DnsType>(word(message, at));
  const unsigned in_class = word(message, at + 2);
  at += 4;
  query.question = message.substr(kHeader, at - kHeader);
  if (in_class != 1) return failure(Error::kUnsupported, "DNS: only class IN is answered");
  const unsigned additional = word(message, 10);
  if (additional > 1 || (additional == 0) != (at == message.size())) {
    return bad("bytes behind the question are not one EDNS record");
  }
  return query;
}

std::string dns_address(const DnsQuery& query, const IpAddress& address,
                        std::uint32_t ttl_seconds) {
  CHECK(query.type == (address.is_v4() ? DnsType::kA : DnsType::kAaaa));
  std::string out = answer(query, 0, 1);
  put_word(out, 0xc000 | kHeader);  // the name of the question
  put_word(out, static_cast<unsigned>(query.type));
  put_word(out, 1);
  put_word(out, ttl_seconds >> 16);
  put_word(out, ttl_seconds & 0xffff);
  const std::size_t size = address.is_v4() ? 4 : 16;
  put_word(out, static_cast<unsigned>(size));
  return out.append(text_of(address.bytes()).substr(16 - size));
}

std::string dns_no_data(const DnsQuery& query) { return answer(query, 0, 0); }

std::string dns_failure(const DnsQuery& query, DnsAnswer code) {
  return answer(query, static_cast<unsigned>(code), 0);
}

std::string dns_format_error(std::string_view message) {
  if (message.size() < kHeader || (word(message, 2) & kResponse) != 0) return {};
  std::string out(message.substr(0, 2));
  put_word(out, kResponse | (word(message, 2) & (kOpcode | kRecursionDesired))
                    | static_cast<unsigned>(DnsAnswer::kFormatError));
  return out.append(8, '\0');
}

}  // namespace gatehouse::wire
