// SPDX-License-Identifier: Apache-2.0
#include "control/sign_in.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "control/test_admin.h"
#include "control/test_signer.h"

namespace gatehouse::control {
namespace {

using net::Task;

// An issuer on the web, and users and accounts of acme's that it vouches for.
class SignInTest : public AdminTest {
 protected:
  SignInTest() {
    const std::string tenant = "/v1/tenants/acme/";
    for (const auto& [path, body] : std::initializer_list<std::pair<std::string, std::string>>{
             {"issuers", R"({"name":"corp","spec":{"url":"https://i.example","client_id":"gh",)"
                         R"("groups_claim":"groups"}})"},
             {"users", R"({"name":"zoe","spec":{"login":{"issuer":"corp","subject":"z"}}})"},
             {"accounts", R"({"name":"ci","spec":{"issuer":"corp","audience":"gh-ci",)"
                          R"("subject":"repo:x"}})"},
             {"groups", R"({"name":"night","spec":{"issuer":"corp","claim":"NIGHT"}})"},
             {"bindings", R"({"spec":{"role":"security","group":"night"}})"},
             {"bindings", R"({"spec":{"role":"developer","account":"ci"}})"}}) {
      EXPECT_EQ(ask("house", "POST", tenant + path, body).status, 201) << body;
    }
    publish_keys(key);
  }
  void publish_keys(const Signer& signer) {
    house.documents["https://i.example/.well-known/openid-configuration"] =
        R"({"issuer":"https://i.example","jwks_uri":"https://i.example/jwks"})";
    house.documents["https://i.example/jwks"] =
        R"({"keys":[{"kty":"EC","crv":"P-256","kid":")" + signer.jwk.key_id + R"(","x":")"
        + to_base64url(signer.jwk.x) + R"(","y":")" + to_base64url(signer.jwk.y) + R"("}]})";
  }
  std::string token(const std::string& audience, const std::string& subject,
                    const std::string& more = "") {
    return key.sign(claims(audience, subject, more));
  }
  std::string claims(const std::string& audience, const std::string& subject,
                     const std::string& more = "") {
    const std::int64_t now = loop->wall().unix_seconds();
    return R"({"iss":"https://i.example","aud":")" + audience + R"(","sub":")" + subject
           + R"(","iat":)" + std::to_string(now) + R"(,"exp":)" + std::to_string(now + 300) + more
           + "}";
  }
  ApiAnswer sign_in_with(const std::string& given, const std::string& nonce = "",
                         const std::string& tenant = "acme") {
    return ask(
        "", "POST", "/v1/sessions",
        R"({"tenant":")" + tenant + R"(","token":")" + given + R"(","nonce":")" + nonce + R"("})");
  }
  ApiAnswer ask_with(const std::string& session, const std::string& method,
                     const std::string& path) {
    ApiRequest request;
    request.method = method;
    request.path = path;
    request.authorization = "Bearer " + session;
    return ask("", std::move(request));
  }
  void wait(Nanos span) {
    const Instant end = loop->now() + span;
    while (loop->now() < end) {  // the simulation runs for an hour at a time
      const Nanos step = std::min<Nanos>(end - loop->now(), std::chrono::minutes(30));
      loop->run_until_done([](this auto, net::Loop* at, Nanos pause) -> Task<int> {
        co_await at->sleep_for(pause);
        co_return 0;
      }(loop.get(), step));
    }
  }

  Signer key = Signer::p256();
};

TEST_F(SignInTest, AUserIsWhoTheIssuerSaysWithTheGroupsThatItSays) {
  const ApiAnswer answer =
      sign_in_with(token("gh", "z", R"(,"nonce":"n","groups":["NIGHT"])"), "n");
  ASSERT_EQ(answer.status, 201) << answer.body;
  const std::string session = member(answer, "session");
  EXPECT_TRUE(session.starts_with("ghs_"));
  const ApiAnswer me = ask_with(session, "GET", "/v1/whoami");
  EXPECT_EQ(member(me, "who"), "user acme/zoe");
  EXPECT_TRUE(me.body.contains(R"("roles":["security"])")) << me.body;
  EXPECT_EQ(house.log.back().tag("act"), "sign_in");
  for (const audit::Entry& entry : house.log) {
    for (const auto& [tag, value] : entry.tags) EXPECT_FALSE(value.contains(session.substr(4)));
  }
  EXPECT_EQ(ask_with(session, "DELETE", "/v1/sessions/current").status, 204);
  EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 401);
}

TEST_F(SignInTest, AnAccountIsAProgramWithItsAudienceAndSubject) {
  const ApiAnswer answer = sign_in_with(token("gh-ci", "repo:x"));
  ASSERT_EQ(answer.status, 201) << answer.body;
  const std::string session = member(answer, "session");
  EXPECT_TRUE(ask_with(session, "GET", "/v1/whoami").body.contains(R"("roles":["developer"])"));
  wait(std::chrono::minutes(6));
  EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 401) << "no longer than its token";
}

TEST_F(SignInTest, ASessionOfAUsersEnds) {
  const std::string session = member(sign_in_with(token("gh", "z")), "session");
  wait(std::chrono::minutes(8 * 60 - 1));
  EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 200);
  wait(std::chrono::minutes(2));
  EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 401);
}

TEST_F(SignInTest, ATokenThatIsNotForUsIsNobody) {
  const Signer stranger = Signer::p256();
  const std::string header = R"({"alg":"ES256","kid":"p256","typ":"at+jwt"})";
  using Case = std::tuple<std::string, std::string, int>;
  for (const auto& [given, nonce, status] : std::initializer_list<Case>{
           {"nonsense", "", 401},
           {stranger.sign(claims("gh", "z")), "", 401},
           {key.sign(claims("gh", "z", R"(,"nbf":99999999999)")), "", 401},
           {key.sign(R"({"iss":"https://other.example","sub":"z","aud":"gh","exp":99999999999})"),
            "", 401},
           {token("another-client", "z"), "", 403},
           {token("gh", "nobody"), "", 403},
           {token("gh", "repo:x"), "", 403},
           {token("gh-ci", "z"), "", 403},
           {token("gh", "z", R"(,"nonce":"n")"), "", 403},
           {token("gh", "z", R"(,"nonce":"n")"), "m", 403},
           {token("gh", "z", R"(,"azp":"another-client")"), "", 403},
           {key.sign(header, claims("gh", "z")), "", 403}}) {
    EXPECT_EQ(sign_in_with(given, nonce).status, status) << given;
  }
  EXPECT_EQ(sign_in_with(token("gh", "z"), "", "globex").status, 401);
  EXPECT_EQ(sign_in_with(token("gh", "z"), "", "nowhere").status, 401);
}

TEST_F(SignInTest, KeysThatWereChangedAreFetchedOnceAndNotForEachToken) {
  ASSERT_EQ(sign_in_with(token("gh", "z")).status, 201);
  ASSERT_EQ(sign_in_with(token("gh", "z")).status, 201);
  EXPECT_EQ(house.fetches.size(), 2U) << "the discovery and the keys";
  key = Signer::p256();
  key.jwk.key_id = "another";
  publish_keys(key);
  EXPECT_EQ(sign_in_with(token("gh", "z")).status, 503) << "they were asked for a moment ago";
  wait(std::chrono::seconds(11));
  EXPECT_EQ(sign_in_with(token("gh", "z")).status, 201);
  EXPECT_EQ(house.fetches.size(), 4U);
  const Signer stranger = Signer::ed25519();
  for (int i = 0; i < 5; ++i) EXPECT_NE(sign_in_with(stranger.sign(claims("gh", "z"))).status, 201);
  EXPECT_EQ(house.fetches.size(), 4U);
}

TEST_F(SignInTest, KeysThatCannotBeHadAnewAreGoodForAnHour) {
  ASSERT_EQ(sign_in_with(token("gh", "z")).status, 201);
  house.documents.clear();
  wait(std::chrono::minutes(50));
  EXPECT_EQ(sign_in_with(token("gh", "z")).status, 201);
  wait(std::chrono::minutes(11));
  EXPECT_EQ(sign_in_with(token("gh", "z")).status, 503);
  house.documents["https://i.example/.well-known/openid-configuration"] =
      R"({"issuer":"https://evil.example","jwks_uri":"https://evil.example/jwks"})";
  wait(std::chrono::minutes(1));
  EXPECT_EQ(sign_in_with(token("gh", "z")).status, 502) << "it calls itself another";
}

TEST_F(SignInTest, WhoIsChangedSignsInAgain) {
  const std::string session = member(sign_in_with(token("gh", "z")), "session");
  ApiRequest change;
  change.method = "PUT";
  change.path = "/v1/tenants/acme/users/zoe";
  change.if_match = ask("house", "GET", change.path).etag;
  change.body = R"({"spec":{"login":{"issuer":"corp","subject":"other"}}})";
  ASSERT_EQ(ask("house", change).status, 200);
  EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 401);
}

TEST_F(SignInTest, AnOwnerEndsAllSessionsOfSomebodyWhoseLaptopIsGone) {
  const std::string first = member(sign_in_with(token("gh", "z")), "session");
  const std::string second = member(sign_in_with(token("gh", "z")), "session");
  const ApiAnswer ended = ask("olivia", "POST", "/v1/tenants/acme/users/zoe/sign-out");
  EXPECT_EQ(ended.body, R"({"ended":2})");
  EXPECT_EQ(house.log.back().tag("act"), "end_sessions");
  for (const std::string& session : {first, second}) {
    EXPECT_EQ(ask_with(session, "GET", "/v1/whoami").status, 401);
  }
  EXPECT_EQ(ask("olivia", "GET", "/v1/whoami").status, 200);
}

TEST_F(SignInTest, WherePeopleSignInIsToldToAnybody) {
  const ApiAnswer logins = ask("", "GET", "/v1/login?tenant=acme");
  EXPECT_TRUE(logins.body.contains(R"("client_id":"gh")")) << logins.body;
  EXPECT_TRUE(ask("", "GET", "/v1/login?tenant=globex").body.contains(R"("items":[])"));
  EXPECT_TRUE(ask("", "GET", "/v1/login?tenant=nowhere").body.contains(R"("items":[])"));
}

}  // namespace
}  // namespace gatehouse::control
