// SPDX-License-Identifier: Apache-2.0
#include "wire/url.h"

#include <gtest/gtest.h>

#include "wire/path.h"

namespace gatehouse::wire {
namespace {

std::string_view class_of(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address ? label(address_class(*address)) : "no address";
}

TEST(Address, HasTheClassOfThePlaceItLeadsTo) {
  for (const char* metadata :
       {"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::a9fe:a9fe", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::", "64:ff9b:1::a9fe:a9fe"}) {
    EXPECT_EQ(class_of(metadata), "metadata") << metadata;
  }
  EXPECT_EQ(class_of("127.8.0.1"), "loopback");
  EXPECT_EQ(class_of("::1"), "loopback");
  EXPECT_EQ(class_of("::ffff:127.0.0.1"), "loopback");
  EXPECT_EQ(class_of("0.0.0.0"), "unspecified");
  EXPECT_EQ(class_of("::"), "unspecified");
  EXPECT_EQ(class_of("172.31.255.255"), "private");
  EXPECT_EQ(class_of("fd12::1"), "private");
  EXPECT_EQ(class_of("fe80::1"), "link_local");
  EXPECT_EQ(class_of("100.64.0.1"), "cgnat");
  EXPECT_EQ(class_of("ff02::1"), "multicast");
  EXPECT_EQ(class_of("255.255.255.255"), "reserved");
  EXPECT_EQ(class_of("2001:db8::1"), "reserved");
  EXPECT_EQ(class_of("172.32.0.1"), "public");
  EXPECT_EQ(class_of("2606:4700::1111"), "public");
  EXPECT_EQ(class_of("64:ff9b::808:808"), "public");
}

TEST(Address, HasOneSpelling) {
  EXPECT_EQ(IpAddress::parse("2001:DB8:0:0:1:0:0:1")->text(), "2001:db8::1:0:0:1");
  EXPECT_EQ(IpAddress::parse("::")->text(), "::");
  EXPECT_EQ(IpAddress::parse("1::")->text(), "1::");
  EXPECT_EQ(IpAddress::parse("1:0:2:3:4:5:6:7")->text(), "1:0:2:3:4:5:6:7");
  for (const char* bad : {"1.2.3", "01.2.3.4", "1.2.3.256", "1.2.3.4.", ":::", "1::2::3", "1:2",
                          "::12345", "fe80::1%eth0", "1:2:3:4:5:6:7:8:9", "::1.2.3", ":1::2"}) {
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  }
}

TEST(Host, InDisguiseIsRefusedAndNamed) {
  for (const char* text : {"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662",
                           "169.254.43518", "0xa9.254.169.254", "169.254.169.254.."}) {
    EXPECT_EQ(Host::parse(text).error(), Error::kInvalid) << text;
  }
  EXPECT_TRUE(Host::parse("127.1").error().message().contains("127.0.0.1 (class loopback)"));
  EXPECT_EQ(ipv4_in_disguise("0")->text(), "0.0.0.0");
  EXPECT_EQ(ipv4_in_disguise("2852039166")->text(), "169.254.169.254");
  EXPECT_EQ(ipv4_in_disguise("0251.0376.0251.0376")->text(), "169.254.169.254");
}

TEST(Host, IsCanonical) {
  EXPECT_EQ(Host::parse("API.Example.COM.")->text(), "api.example.com");
  EXPECT_EQ(Host::parse("[::FFFF:1.2.3.4]")->text(), "[::ffff:102:304]");
  EXPECT_TRUE(Host::parse("10.0.0.1")->is_ip_literal());
  for (const char* bad : {"", ".", "a..b", "a b", "ex%61mple.com",
                          "b\xc3\xbc"
                          "cher.de",
                          "[fe80::1%25eth0]", "[1.2.3.4]", "a/b", "a.123"}) {
    EXPECT_FALSE(Host::parse(bad)) << bad;
  }
}

TEST(Host, IsMatchedLabelByLabel) {
  const auto matches = [](std::string_view pattern, std::string_view host) {
    return host_matches(pattern, *Host::parse(host));
  };
  EXPECT_TRUE(matches("allowed.com", "ALLOWED.com."));
  EXPECT_FALSE(matches("allowed.com", "evilallowed.com"));
  EXPECT_FALSE(matches("*.allowed.com", "allowed.com.evil.test"));
  EXPECT_FALSE(matches("*.allowed.com", "evilallowed.com"));
  EXPECT_FALSE(matches("*.allowed.com", "allowed.com"));
  EXPECT_TRUE(matches("*.allowed.com", "a.b.allowed.com"));
}

TEST(Url, IsReadOneWayOnly) {
  const auto url = Url::parse("HTTPS://API.example:443/v1?x");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->text(), "https://api.example/v1?x");
  EXPECT_EQ(Url::parse("http://a:8080")->origin(), "http://a:8080");
  for (const char* bad : {"//a/", "ftp://a/", "http://u@a/", "http://a#b", "http://a\\b/",
                          "http://a:0/", "http://a:99999/", "http://a:/", "http://[::1]x/"}) {
    EXPECT_FALSE(Url::parse(bad)) << bad;
  }
}

TEST(Path, IsCanonicalOrRefused) {
  EXPECT_EQ(canonical_path("/a/%7Eb/./c/../d%2a"), "/a/~b/d%2A");
  EXPECT_EQ(canonical_path("/"), "/");
  EXPECT_EQ(canonical_path("/a/.."), "/");
  EXPECT_EQ(canonical_path("/a/%2e%2E/b/"), "/b/");
  for (const char* bad : {"", "a", "//a", "/a//b", "/a%2fb", "/a%5Cb", "/a\\b", "/a%00", "/%zz",
                          "/%4", "/../a", "/a/../../b", "/a/..;x/b", "/a%252f"}) {
    EXPECT_FALSE(canonical_path(bad)) << bad;
  }
}

TEST(Path, IsMatchedBySegments) {
  EXPECT_TRUE(path_matches("/repos/*/issues", "/repos/x/issues"));
  EXPECT_FALSE(path_matches("/repos/*", "/repos/x/issues"));
  EXPECT_TRUE(path_matches("/repos/**", "/repos/x/issues"));
  EXPECT_TRUE(path_matches("/repos/**", "/repos"));
  EXPECT_FALSE(path_matches("/repos/**", "/repository"));
  EXPECT_TRUE(path_matches("/v*/a*c", "/v1/abbc"));
  EXPECT_FALSE(path_matches("/a", "/a/"));
}

TEST(Path, MatchesAnyRunWhereAStarStands) {
  EXPECT_TRUE(text_matches("gpt-5", "gpt-5"));
  EXPECT_FALSE(text_matches("gpt-5", "gpt-5-mini"));
  EXPECT_TRUE(text_matches("gpt-5*", "gpt-5-mini"));
  EXPECT_TRUE(text_matches("*claude-3*v1*", "us.anthropic.claude-3-haiku-v1:0"));
  EXPECT_FALSE(text_matches("*claude-3*v2", "us.anthropic.claude-3-haiku-v1:0"));
  EXPECT_TRUE(text_matches("*", ""));
  EXPECT_FALSE(text_matches("", "x"));
}

}  // namespace
}  // namespace gatehouse::wire
