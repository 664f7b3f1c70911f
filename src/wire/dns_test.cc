// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

using std::string_literals::operator""s;

const std::string kHead = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;
const std::string kName =
    "\x03"
    "Api\x07"
    "example\x00"s;

TEST(Dns, AnswersAQuestion) {
  const std::string message = kHead + kName + "\x00\x01\x00\x01"s;
  const auto query = DnsQuery::parse(message);
  ASSERT_TRUE(query) << query.error().message();
  EXPECT_EQ(query->name, "api.example");
  EXPECT_EQ(query->type, DnsType::kA);
  const auto head = [](const char* flags, char count) {
    return "\x12\x34"s + flags + "\x80\x00\x01\x00"s + count + "\x00\x00\x00\x00"s;
  };
  EXPECT_EQ(dns_address(*query, *IpAddress::parse("1.2.3.4"), 60),
            head("\x81", 1) + message.substr(12)
                + "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x01\x02\x03\x04"s);
  EXPECT_EQ(dns_no_data(*query), head("\x81", 0) + message.substr(12));
  EXPECT_EQ(dns_failure(*query, DnsAnswer::kNameError)[3], '\x83');
  EXPECT_EQ(dns_failure(*query, DnsAnswer::kRefused)[3], '\x85');
}

TEST(Dns, RefusesWhatIsNotOneQuestion) {
  const std::string question = kName + "\x00\x01\x00\x01"s;
  for (const std::string& message :
       {""s, kHead, kHead + kName, kHead + question + "x", kHead + "\xc0\x0c\x00\x01\x00\x01"s,
        "\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00"s + question,
        "\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00"s + question,
        kHead + "\x03"s + "a\x00b\x00\x00\x01\x00\x01"s}) {
    EXPECT_EQ(DnsQuery::parse(message).error(), Error::kInvalid);
  }
  EXPECT_EQ(DnsQuery::parse(kHead + kName + "\x00\x01\x00\x03"s).error(), Error::kUnsupported);
  EXPECT_EQ(dns_format_error(kHead).substr(0, 4), "\x12\x34\x81\x01"s);
  EXPECT_EQ(dns_format_error("short"), "");
}

}  // namespace
}  // namespace gatehouse::wire
