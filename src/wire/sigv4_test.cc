// SPDX-License-Identifier: Apache-2.0
// By the examples that AWS documents: its signature test suite, and the IAM guide's ListUsers.
#include "wire/sigv4.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

const std::string kKeyPair = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
using Headers = std::vector<std::pair<std::string, std::string>>;
const Headers kVanilla = {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", "20150830T123600Z"}};

std::string signature(std::string_view service, const std::string& canonical) {
  const auto value = sigv4_authorization(Secret(kKeyPair), "us-east-1", service, canonical);
  EXPECT_TRUE(value) << value.error().message();
  return value ? value->substr(value->rfind('=') + 1) : "";
}

TEST(SigV4, SignsTheVanillaRequestOfTheTestSuite) {
  const std::string canonical = sigv4_canonical_request("GET", "/", "", kVanilla, "");
  EXPECT_EQ(canonical,
            "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
            "host;x-amz-date\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sigv4_authorization(Secret(kKeyPair), "us-east-1", "service", canonical),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(SigV4, SignsOthersOfTheTestSuite) {
  EXPECT_EQ(signature("service", sigv4_canonical_request("POST", "/", "", kVanilla, "")),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
  EXPECT_EQ(signature("service", sigv4_canonical_request("GET", "/", "?Param2=value2&Param1=value1",
                                                         kVanilla, "")),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

TEST(SigV4, SignsTheExampleOfTheIamGuide) {
  const std::string canonical = sigv4_canonical_request(
      "GET", "/", "?Version=2010-05-08&Action=ListUsers",
      {{"Host", "iam.amazonaws.com"},
       {"X-Amz-Date", "20150830T123600Z"},
       {"Content-Type", "application/x-www-form-urlencoded;  charset=utf-8 "}},
      "");
  EXPECT_TRUE(
      canonical.contains("\nAction=ListUsers&Version=2010-05-08\n"
                         "content-type:application/x-www-form-urlencoded; charset=utf-8\n"));
  EXPECT_EQ(signature("iam", canonical),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

TEST(SigV4, EncodesAPathThatIsEncodedOnceMore) {
  const auto path_of = [](std::string_view path) {
    const std::string canonical = sigv4_canonical_request("POST", path, "", kVanilla, "");
    return canonical.substr(5, canonical.find('\n', 5) - 5);
  };
  EXPECT_EQ(path_of("/model/a.b-v1%3A0/converse"), "/model/a.b-v1%253A0/converse");
  EXPECT_EQ(path_of("/model/a.b-v1:0/converse"), "/model/a.b-v1%3A0/converse");
  EXPECT_EQ(path_of("/"), "/");
}

TEST(SigV4, SignsNothingThatIsNoCanonicalRequest) {
  const std::string good = sigv4_canonical_request("GET", "/", "", kVanilla, "");
  const auto read = SigV4Request::parse(good);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->host, "example.amazonaws.com");
  EXPECT_EQ(read->date_unix_s, 1440938160);
  EXPECT_EQ(sigv4_date(read->date_unix_s), read->date);
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), good.substr(0, 20), good + "\n", changed("\n/\n", "\nx\n"),
        changed("host:example.amazonaws.com\n", ""), changed("host;x-amz-date", "host"),
        changed("20150830T", "20150230T"), changed("x-amz-date:", "x-amz-dat:"),
        changed("host:", "x-zzz:"), changed("e3b0c", "E-b0c"), std::string(40'000, 'x')}) {
    EXPECT_FALSE(SigV4Request::parse(bad)) << bad;
    EXPECT_FALSE(sigv4_authorization(Secret(kKeyPair), "r", "s", bad));
  }
  for (const char* pair : {"x", ":secret", "id:", "i d:secret"}) {
    const auto refused = sigv4_authorization(Secret(pair), "r", "s", good);
    ASSERT_FALSE(refused) << pair;
    EXPECT_FALSE(refused.error().message().contains("secret")) << "it is not shown";
  }
}

}  // namespace
}  // namespace gatehouse::wire
