// SPDX-License-Identifier: Apache-2.0
// What is a SPIFFE ID, and which servers are known by theirs, with certificates made for the test.
#include "net/spiffe.h"

#include <gtest/gtest.h>

#include "net/nursery.h"
#include "net/real_loop.h"
#include "net/test_identity.h"
#include "net/tls.h"

namespace gatehouse::net {
namespace {

TEST(Spiffe, AnIdHasATrustDomainAndAPath) {
  const auto id = SpiffeId::parse("spiffe://example.org/ns/prod/sa/web_1.2-x");
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(id->trust_domain(), "example.org");
  EXPECT_EQ(id->path(), "/ns/prod/sa/web_1.2-x");
  EXPECT_EQ(SpiffeId::parse("spiffe://example.org")->path(), "");
  EXPECT_TRUE(SpiffeId::parse("spiffe://" + std::string(255, 'a')));
  EXPECT_TRUE(SpiffeId::parse("spiffe://a/" + std::string(2037, 'b')));
}

TEST(Spiffe, WhatIsNoneIsRefused) {
  for (const std::string& text :
       std::vector<std::string>{"",
                                "spiffe:",
                                "spiffe://",
                                "spiffe:///a",
                                "https://example.org/a",
                                "SPIFFE://a/b",
                                "spiffe://Example.org/a",
                                "spiffe://example.org/",
                                "spiffe://example.org/a/",
                                "spiffe://example.org//a",
                                "spiffe://example.org/a//b",
                                "spiffe://example.org/.",
                                "spiffe://example.org/a/../b",
                                "spiffe://example.org:443/a",
                                "spiffe://u@example.org/a",
                                "spiffe://example.org/a?b",
                                "spiffe://example.org/a#b",
                                "spiffe://example.org/%61",
                                "spiffe://example.org/\xc3\xa4",
                                "spiffe://ex\xc3\xa4mple.org/a",
                                "spiffe://example.org/a b",
                                std::string("spiffe://example.org/a\0b", 24),
                                "spiffe://" + std::string(256, 'a'),
                                "spiffe://a/" + std::string(2038, 'b')}) {
    const auto id = SpiffeId::parse(text);
    EXPECT_FALSE(id) << text;
    if (!id) EXPECT_EQ(id.error(), Error::kInvalid);
  }
}

TEST(Spiffe, ATrustDomainStandsForItsWorkloadsAndAnIdForItself) {
  const SpiffeId domain = *SpiffeId::parse("spiffe://example.org");
  const SpiffeId web = *SpiffeId::parse("spiffe://example.org/web");
  EXPECT_TRUE(domain.covers(web));
  EXPECT_TRUE(web.covers(web));
  EXPECT_FALSE(web.covers(domain));
  EXPECT_FALSE(web.covers(*SpiffeId::parse("spiffe://example.org/web/a")));
  EXPECT_FALSE(domain.covers(*SpiffeId::parse("spiffe://example.org.evil/web")));
  EXPECT_FALSE(domain.covers(*SpiffeId::parse("spiffe://evil/example.org/web")));
}

TlsIdentity authority() {
  return identity_of({"DNS:authority.test", "authority.test", -60, 3600, nullptr, false,
                      "critical,CA:TRUE", "critical,keyCertSign"});
}

// What a client that wants `wanted` says to a server with that certificate.
Result<void> met(const TestCertificate& shown, const TlsIdentity& bundle,
                 const std::string& wanted) {
  const TlsIdentity identity = identity_of(shown);
  auto server = TlsServer::make({.identity = &identity});
  auto client = TlsClient::make({.extra_ca_pem = bundle.certificate_pem, .system_roots = false});
  EXPECT_TRUE(server && client);
  const auto loop = make_real_loop();
  auto listener = loop->listen(Endpoint::ip("127.0.0.1", 0));
  std::optional<Result<void>> out;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* on, Listener* at, TlsServer* tls) -> Task<void> {
    auto socket = co_await at->accept(on->in(5s));
    if (socket) (void)co_await tls->accept(*on, std::move(*socket), on->in(5s));
  }(loop.get(), listener->get(), server->get()));
  nursery.spawn([](this auto, Loop* on, Endpoint to, TlsClient* tls, std::string id,
                   std::optional<Result<void>>* into) -> Task<void> {
    auto socket = co_await on->connect(to, on->in(5s));
    TlsClient::Wish wish{"host.test", false, *SpiffeId::parse(id)};
    auto stream = co_await tls->connect(*on, std::move(*socket), std::move(wish), on->in(5s));
    if (stream) {
      into->emplace();
    } else {
      into->emplace(Failure(stream.error()));
    }
    on->stop();
  }(loop.get(), (*listener)->local(), client->get(), wanted, &out));
  loop->run();
  return std::move(*out);
}

TestCertificate workload(const std::string& names, const TlsIdentity& issuer) {
  return {names, "", -60, 3600, &issuer, false, "critical,CA:FALSE", "critical,digitalSignature"};
}

TEST(Spiffe, AServerIsKnownByItsIdWhateverItsHost) {
  const TlsIdentity bundle = authority();
  const TestCertificate web = workload("URI:spiffe://td.test/web", bundle);
  for (const char* wanted : {"spiffe://td.test/web", "spiffe://td.test"}) {
    const auto done = met(web, bundle, wanted);
    EXPECT_TRUE(done) << done.error().message();
  }
  EXPECT_TRUE(met(workload("DNS:other.test,URI:spiffe://td.test/web", bundle), bundle,
                  "spiffe://td.test/web"));
}

TEST(Spiffe, AndNotByWhatIsNotExactlyIts) {
  const TlsIdentity bundle = authority();
  struct Case {
    TestCertificate shown;
    const char* said;
  };
  const std::string web = "URI:spiffe://td.test/web";
  TestCertificate of_authority = workload(web, bundle);
  of_authority.constraints = "critical,CA:TRUE";
  TestCertificate signs_others = workload(web, bundle);
  signs_others.key_usage = "critical,digitalSignature,keyCertSign";
  TestCertificate revokes = workload(web, bundle);
  revokes.key_usage = "critical,digitalSignature,cRLSign";
  TestCertificate for_anything = workload(web, bundle);
  for_anything.key_usage = "";
  TestCertificate over = workload(web, bundle);
  over.until_s = -30;
  for (const Case& each : std::vector<Case>{
           {workload("URI:spiffe://td.test/other", bundle), "is of spiffe://td.test/other"},
           {workload("URI:spiffe://td.test/web/a", bundle), "is of spiffe://td.test/web/a"},
           {workload("URI:spiffe://evil.test/web", bundle), "is of spiffe://evil.test/web"},
           {workload(web + ",URI:spiffe://td.test/other", bundle), "more than one URI"},
           {workload(web + ",URI:https://td.test/web", bundle), "more than one URI"},
           {workload("DNS:host.test", bundle), "names no URI"},
           {workload("URI:spiffe://td.test", bundle), "a trust domain's"},
           {workload("URI:https://td.test/web", bundle), "no SPIFFE ID"},
           {workload("URI:spiffe://td.test/web/", bundle), "no SPIFFE ID"},
           {of_authority, "authority"},
           {signs_others, "may sign certificates"},
           {revokes, "may sign certificates"},
           {for_anything, "what its key may be used for"},
           {over, "it ended at"}}) {
    const auto done = met(each.shown, bundle, "spiffe://td.test/web");
    ASSERT_FALSE(done) << each.said;
    EXPECT_EQ(done.error(), Error::kUpstream);
    EXPECT_TRUE(done.error().message().contains(each.said)) << done.error().message();
  }
}

TEST(Spiffe, AnotherAuthoritysWordDoesNotCount) {
  const TlsIdentity bundle = authority();
  const TlsIdentity stranger = authority();
  const auto done =
      met(workload("URI:spiffe://td.test/web", stranger), bundle, "spiffe://td.test/web");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error(), Error::kUpstream);
}

}  // namespace
}  // namespace gatehouse::net
