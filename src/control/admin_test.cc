// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "control/test_admin.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

using net::Task;

std::string filled(std::string path, const std::string& tenant, const control::Run& run) {
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"{tenant}", tenant},
                                    {"{agent}", "claw"},
                                    {"{name}", "nothing-of-that-name"},
                                    {"{run}", run.id.text()}}) {
    const std::size_t at = path.find(name);
    if (at != std::string::npos) path.replace(at, name.size(), value);
  }
  return path;
}

// Written down once more, so that a slip in the table of rights shows.
const std::map<std::string, std::set<std::string>> kMayDo = {
    {"olivia",
     {"read", "transcript", "acts", "people", "grant", "services", "agents", "policy", "kill",
      "revive", "run"}},
    {"sam", {"read", "acts", "services", "policy", "kill", "revive"}},
    {"abel", {"read"}},
    {"ada", {"read", "transcript", "acts"}},
    {"dave", {"read", "agents", "run"}},
    {"nora", {}},
};

TEST_F(AdminTest, EveryRouteIsAnsweredToWhoHasItsRightAndToNobodyElse) {
  for (const Route& route : routes()) {
    const std::string path = filled(route.path, "acme", run);
    const std::string right(text(route.right));
    const bool is_open = route.right == Right::kAnyone;
    const auto was_let_in = [&](const std::string& who) {
      const int status = ask(who, std::string(route.method), path).status;
      if (route.action == Action::kSignOut && !who.empty() && who != "house") {
        sign_in("acme", who);
      }
      return status != 401 && status != 403;
    };
    SCOPED_TRACE(std::string(route.method) + " " + route.path);
    for (const auto& [who, rights] : kMayDo) {
      const bool expected = is_open || right == "signed_in" || rights.contains(right);
      EXPECT_EQ(was_let_in(who), expected) << who;
    }
    EXPECT_TRUE(was_let_in("house"));
    EXPECT_EQ(was_let_in(""), is_open);
    if (route.path.contains("{tenant}")) {
      EXPECT_EQ(ask("gus", std::string(route.method), path).status, 403) << "of another tenant";
      EXPECT_EQ(ask("olivia", std::string(route.method), filled(route.path, "nowhere", run)).status,
                403)
          << "whether there is such a tenant is not told";
    }
  }
}

TEST_F(AdminTest, NoRouteIsBareAndNoRightIsWithoutARoleThatIsKnown) {
  std::set<std::string> open;
  for (const Route& route : routes()) {
    if (route.right == Right::kAnyone) open.insert(route.path);
    EXPECT_TRUE(route.path.starts_with("/v1/"));
    if (route.right == Right::kAnyone || route.right == Right::kSignedIn) continue;
    const bool of_house = route.right == Right::kTenants || route.right == Right::kHost;
    EXPECT_TRUE(of_house || role_gives("owner", route.right)) << route.path;
    EXPECT_TRUE(of_house || route.path.contains("{tenant}")) << route.path;
  }
  EXPECT_EQ(open, (std::set<std::string>{"/v1/login", "/v1/openapi.json", "/v1/sessions"}));
}

TEST_F(AdminTest, ASessionThatIsOverOrWasNeverThereIsNobody) {
  ApiRequest request;
  request.method = "GET";
  request.path = "/v1/whoami";
  for (const char* wrong : {"Bearer nothing", "Bearer ", "Basic dG9rZW4=", "token-of-olivia"}) {
    request.authorization = wrong;
    EXPECT_EQ(ask("", request).status, 401) << wrong;
  }
  EXPECT_EQ(ask("olivia", request).status, 200);
  loop->run_until_done([](this auto, net::Loop* at) -> Task<int> {
    co_await at->sleep_for(std::chrono::minutes(61));
    co_return 0;
  }(loop.get()));
  EXPECT_EQ(ask("olivia", request).status, 401);
}

TEST_F(AdminTest, AWallClockThatIsSetMakesNoSessionLonger) {
  ApiRequest request;
  request.method = "GET";
  request.path = "/v1/whoami";
  const auto pass = [&](Nanos time) {
    loop->run_until_done([](this auto, net::Loop* at, Nanos pause) -> Task<int> {
      co_await at->sleep_for(pause);
      co_return 0;
    }(loop.get(), time));
  };
  EXPECT_EQ(ask("olivia", request).status, 200);
  loop->jump_wall(-std::chrono::hours(48));
  EXPECT_EQ(ask("olivia", request).status, 200);
  EXPECT_EQ(ask("sam", request).status, 200) << "nor one that is shown here for the first time";
  pass(std::chrono::minutes(61));
  EXPECT_EQ(ask("olivia", request).status, 401);
  EXPECT_EQ(ask("sam", request).status, 401);
  EXPECT_EQ(ask("ada", request).status, 200);
  loop->jump_wall(std::chrono::hours(49));
  EXPECT_EQ(ask("ada", request).status, 401) << "one that is set ahead ends it early";
}

TEST_F(AdminTest, AWallClockThatIsSetHidesNoRunThatIsLost) {
  loop->jump_wall(-std::chrono::hours(48));  // the Run began in what is the future now
  house.sandboxes.emplace();                 // sandboxd has none
  control.arrived("sandboxd");
  loop->run_until_done([](this auto, net::Loop* at) -> Task<int> {
    co_await at->sleep_for(std::chrono::seconds(1));
    co_return 0;
  }(loop.get()));
  EXPECT_FALSE(store->run(run.id)->is_live());
}

TEST_F(AdminTest, WhoShowsASessionIsItsUserOnTheHostToo) {
  ApiRequest request;
  request.method = "GET";
  request.path = "/v1/whoami";
  request.is_house = true;
  request.authorization = "Bearer token-of-nora";
  auto answer = loop->run_until_done(admin.answer(request));
  ASSERT_TRUE(answer);
  EXPECT_EQ(member(*answer, "who"), "user acme/nora");
}

TEST_F(AdminTest, AnObjectIsMadeShownChangedAndRemovedAndEachIsOnRecordFirst) {
  const std::string users = "/v1/tenants/acme/users";
  const ApiAnswer made = ask("olivia", "POST", users, R"({"name":"zoe","spec":{}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(member(made, "from"), "api");
  EXPECT_EQ(ask("olivia", "POST", users, R"({"name":"zoe","spec":{}})").status, 409);
  const std::string group = "/v1/tenants/acme/groups";
  ASSERT_EQ(ask("olivia", "POST", group, R"({"name":"night","spec":{"members":["zoe"]}})").status,
            201);
  EXPECT_EQ(ask("olivia", "DELETE", users + "/zoe").status, 409) << "the group names it";
  EXPECT_EQ(ask("olivia", "DELETE", group + "/night").status, 204);
  EXPECT_EQ(ask("olivia", "DELETE", users + "/zoe").status, 204);
  EXPECT_EQ(ask("olivia", "GET", users + "/zoe").status, 404);
  std::vector<std::string> acts;
  for (const audit::Entry& entry : house.log) {
    if (entry.kind != audit::Kind::kAdministered) continue;
    EXPECT_EQ(entry.tag("who"), "user acme/olivia");
    EXPECT_EQ(entry.tag("outcome"), "done");
    EXPECT_EQ(entry.tenant, "acme");
    acts.push_back(std::string(entry.tag("act")) + " " + std::string(entry.tag("object")));
  }
  EXPECT_EQ(acts, (std::vector<std::string>{"create user zoe", "create group night",
                                            "remove group night", "remove user zoe"}));
  EXPECT_GE(house.published, 4) << "each change is in force when it is answered";
}

TEST_F(AdminTest, AUserWithAccountsOrRunsStaysSoThatNobodyInheritsThem) {
  const std::string users = "/v1/tenants/acme/users";
  ASSERT_EQ(ask("house", "POST", users, R"({"name":"zoe","spec":{}})").status, 201);
  house.connections.connections.push_back(
      {"acme", "zoe", "web", ipc::CredentialKind::kStatic, 0, 0, "ok"});
  const ApiAnswer linked = ask("house", "DELETE", users + "/zoe");
  EXPECT_EQ(linked.status, 409);
  EXPECT_TRUE(linked.body.contains("gatehouse connect web --user zoe --remove")) << linked.body;
  house.connections.connections.clear();
  control::Run of_zoe = run;
  of_zoe.id = RunId::from_bytes({2});
  of_zoe.user = "zoe";
  ASSERT_TRUE(store->start_run(of_zoe));
  EXPECT_EQ(ask("house", "DELETE", users + "/zoe").status, 409);
  ASSERT_TRUE(store->end_run(of_zoe.id, loop->wall(), 0));
  EXPECT_EQ(ask("house", "DELETE", users + "/zoe").status, 204);
}

TEST_F(AdminTest, WhatTheFileChangesIsOnRecordWithBeforeAndAfter) {
  std::string changed(kAdminFile);
  const std::size_t at = changed.find("methods: [GET]");
  changed.replace(at, 14, "methods: [PUT]");
  const auto config = decode_config(changed, [](const std::string& path) -> Result<std::string> {
    return failure(Error::kNotFound, path);
  });
  ASSERT_TRUE(config);
  ASSERT_TRUE(control.begin(*config));
  control.arrived("audit");
  loop->run_for(std::chrono::seconds(1));
  ASSERT_FALSE(house.log.empty());
  const audit::Entry& last = house.log.back();
  EXPECT_EQ(last.tag("who"), "gatehouse.yaml");
  EXPECT_EQ(last.tag("act"), "set");
  EXPECT_EQ(last.tag("object"), "rule claw/read");
  EXPECT_TRUE(last.tag("before").contains("GET") && last.tag("after").contains("PUT"));
  EXPECT_EQ(last.tenant, "acme");
}

TEST_F(AdminTest, WhatCannotBePutOnRecordIsNotDone) {
  house.log_is_away = true;
  EXPECT_EQ(ask("house", "POST", "/v1/tenants/acme/users", R"({"name":"zoe","spec":{}})").status,
            503);
  EXPECT_EQ(ask("ada", "GET", "/v1/tenants/acme/runs/" + run.id.text() + "/transcript").status,
            503);
  house.log_is_away = false;
  EXPECT_EQ(ask("house", "GET", "/v1/tenants/acme/users/zoe").status, 404);
}

TEST_F(AdminTest, AChangeNeedsTheVersionThatWasSeen) {
  const std::string users = "/v1/tenants/acme/users";
  const std::string path = users + "/zoe";
  ASSERT_EQ(ask("house", "POST", users, R"({"name":"zoe","spec":{}})").status, 201);
  ASSERT_EQ(ask("house", "POST", "/v1/tenants/acme/issuers",
                R"({"name":"corp","spec":{"url":"https://login.example"}})")
                .status,
            201);
  const std::string body = R"({"spec":{"login":{"issuer":"corp","subject":"z-1"}}})";
  EXPECT_EQ(ask("house", "PUT", path, body).status, 428);
  ApiRequest change;
  change.method = "PUT";
  change.path = path;
  change.body = body;
  change.if_match = ask("house", "GET", path).etag;
  const ApiAnswer changed = ask("house", change);
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_NE(changed.etag, change.if_match);
  EXPECT_EQ(ask("house", change).status, 412);
  ApiRequest remove;
  remove.method = "DELETE";
  remove.path = path;
  remove.if_match = change.if_match;
  EXPECT_EQ(ask("house", remove).status, 412);
  const audit::Entry* last = nullptr;
  for (const audit::Entry& entry : house.log) {
    if (entry.tag("act") == "set") last = &entry;
  }
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->tag("before"), "{}");
  EXPECT_EQ(last->tag("after"), R"({"login":{"issuer":"corp","subject":"z-1"}})");
}

TEST_F(AdminTest, ARequestThatComesAgainIsAnsweredAgainAndDoneOnce) {
  ApiRequest make;
  make.method = "POST";
  make.path = "/v1/tenants/acme/users";
  make.body = R"({"name":"zoe","spec":{}})";
  make.idempotency_key = "key-1";
  const ApiAnswer first = ask("house", make);
  ASSERT_EQ(first.status, 201);
  const ApiAnswer again = ask("house", make);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.etag, first.etag);
  EXPECT_TRUE(again.is_replayed);
  EXPECT_EQ(ask("olivia", make).status, 409) << "a key is its sender's own";
  make.body = R"({"name":"zed","spec":{}})";
  EXPECT_EQ(ask("house", make).status, 422);
  make.idempotency_key = std::string(129, 'k');
  EXPECT_EQ(ask("house", make).status, 400);
}

TEST_F(AdminTest, ListsComeInPagesWithoutLossOrRepetition) {
  for (int i = 0; i < 25; ++i) {
    const std::string name = "user-" + std::to_string(100 + i);
    ASSERT_EQ(
        ask("house", "POST", "/v1/tenants/acme/users", R"({"name":")" + name + R"(","spec":{}})")
            .status,
        201);
  }
  std::vector<std::string> all;
  std::string token;
  int pages = 0;
  do {
    const ApiAnswer page =
        ask("house", "GET",
            "/v1/tenants/acme/users?limit=10" + (token.empty() ? "" : "&page_token=" + token));
    ASSERT_EQ(page.status, 200) << page.body;
    for (const std::string& name : names_in(page)) all.push_back(name);
    token = member(page, "next_page_token");
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(pages, 4);
  EXPECT_EQ(all.size(), 31U);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());
  for (const char* wrong : {"limit=0", "limit=501", "limit=x", "page_token=%21", "page=2"}) {
    EXPECT_EQ(ask("house", "GET", std::string("/v1/tenants/acme/users?") + wrong).status, 400)
        << wrong;
  }
}

TEST_F(AdminTest, PeopleSeeTheirOwnTenantOnly) {
  EXPECT_EQ(names_in(ask("gus", "GET", "/v1/tenants")), std::vector<std::string>{"globex"});
  EXPECT_EQ(names_in(ask("house", "GET", "/v1/tenants")).size(), 2U);
  EXPECT_EQ(ask("gus", "GET", "/v1/tenants/globex/runs/" + run.id.text()).status, 404)
      << "another tenant's Run by one's own path";
}

TEST_F(AdminTest, WhatTheFileNamesIsChangedInTheFile) {
  const ApiAnswer answer = ask("house", "DELETE", "/v1/tenants/acme/bindings/owner.user.olivia");
  EXPECT_EQ(answer.status, 409);
  EXPECT_NE(answer.body.find("gatehouse.yaml"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.type, kProblemType);
}

TEST_F(AdminTest, TheHostIsLetInByItsOwnerOnly) {
  const std::string agents = "/v1/tenants/acme/agents";
  const std::string services = "/v1/tenants/acme/services";
  for (const auto& [path, body] :
       {std::pair{agents, R"({"name":"a","spec":{"toolbox":["/root"]}})"},
        {agents, R"({"name":"a","spec":{"skeleton":"/root"}})"},
        {services, R"({"name":"a","spec":{"kind":"http","url":"https://a.example",)"
                   R"("upstream":"http://127.0.0.1:1","allow_private":true}})"},
        {std::string("/v1/tenants/acme/issuers"),
         R"({"name":"a","spec":{"url":"http://127.0.0.1:1","allow_private":true}})"}}) {
    EXPECT_EQ(ask("olivia", "POST", path, body).status, 403) << body;
    EXPECT_EQ(ask("house", "POST", path, body).status, 201) << body;
    EXPECT_EQ(ask("house", "DELETE", path + "/a").status, 204);
  }
}

TEST_F(AdminTest, ACertificateWithItsKeyIsForServicesOfTheFile) {
  const ApiAnswer answer = ask("house", "POST", "/v1/tenants/acme/services",
                               R"({"name":"a","spec":{"kind":"http","url":"https://a.example",)"
                               R"("upstream":"https://up.example","client_certificate":)"
                               R"({"certificate":"/etc/a.pem","key":"/etc/shadow"}}})");
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.body.find("gatehouse.yaml"), std::string::npos) << answer.body;
}

TEST_F(AdminTest, WhatIsWrongIsToldAsAProblem) {
  const std::string users = "/v1/tenants/acme/users";
  for (const char* wrong :
       {"", "[]", "{", R"({"name":"zoe"})", R"({"name":"zoe","spec":[]})",
        R"({"name":"zoe","spec":{},"more":1})", R"({"name":"zoe","spec":{"logn":{}}})",
        R"({"name":"Zoe","spec":{}})", R"({"name":"zoe","name":"zoe","spec":{}})",
        R"({"name":"zoe","spec":{"tenant":"globex"}})"}) {
    const ApiAnswer answer = ask("house", "POST", users, wrong);
    EXPECT_EQ(answer.status, 400) << wrong;
    EXPECT_EQ(answer.type, kProblemType);
    EXPECT_EQ(member(answer, "type"), "urn:gatehouse:error:invalid_request");
    EXPECT_NE(member(answer, "detail"), "");
  }
  EXPECT_EQ(ask("house", "GET", "/v1/nothing").status, 404);
  EXPECT_EQ(ask("house", "PATCH", users).status, 405);
  EXPECT_EQ(ask("house", "GET", "/v1/tenants/nowhere/users").status, 404);
}

TEST_F(AdminTest, AKillSaysWhoseItIs) {
  const std::string path = "/v1/tenants/acme/runs/" + run.id.text();
  ASSERT_EQ(ask("sam", "POST", path + "/kill", R"({"reason":"it ran wild","destroy":true})").status,
            200);
  ASSERT_EQ(house.kills.size(), 1U);
  EXPECT_EQ(house.kills[0].run, run.id);
  EXPECT_TRUE(house.kills[0].destroy);
  EXPECT_EQ(house.kills[0].reason, "user acme/sam: it ran wild");
  EXPECT_EQ(house.log.back().run, run.id) << "it is a part of the Run's story";
  EXPECT_EQ(ask("dave", "POST", path + "/kill").status, 403);
  EXPECT_EQ(house.log.back().tag("outcome"), "denied");
  house.log_is_away = true;
  EXPECT_EQ(ask("sam", "POST", path + "/kill").status, 200) << "a kill waits for no log";
  EXPECT_EQ(ask("sam", "POST", path + "/revive").status, 503) << "all else does";
}

TEST_F(AdminTest, AKillTellsFrozenFromEnded) {
  const std::string path = "/v1/tenants/acme/runs/" + run.id.text();
  const auto answer = [&](int sandboxes, int ended) {
    return R"({"run":")" + run.id.text() + R"(","sandboxes":)" + std::to_string(sandboxes)
           + R"(,"ended":)" + std::to_string(ended) + "}";
  };
  EXPECT_EQ(ask("sam", "POST", path + "/kill").body, answer(1, 0)) << "it waits to be revived";
  house.kill_done.ended = 1;
  EXPECT_EQ(ask("sam", "POST", path + "/kill").body, answer(1, 1)) << "nothing revives it";
  house.kill_done = {2, 0, 0};
  EXPECT_EQ(ask("sam", "POST", path + "/kill").body, answer(0, 0)) << "it has no sandbox";
}

TEST_F(AdminTest, ReadingATranscriptIsOnRecordAndNoPartOfIt) {
  audit::Entry began;
  began.kind = audit::Kind::kRunStarted;
  began.tenant = "acme";
  began.run = run.id;
  house.log.push_back(began);
  const std::string path = "/v1/tenants/acme/runs/" + run.id.text() + "/transcript";
  const ApiAnswer story = ask("ada", "GET", path);
  ASSERT_EQ(story.status, 200) << story.body;
  EXPECT_EQ(member(story, "run"), run.id.text());
  EXPECT_EQ(story.body, ask("ada", "GET", path).body);
  const audit::Entry& reading = house.log.back();
  EXPECT_EQ(reading.kind, audit::Kind::kTranscriptRead);
  EXPECT_EQ(reading.tag("who"), "user acme/ada");
  EXPECT_EQ(reading.tag("of"), run.id.text());
  const ApiAnswer acts = ask("ada", "GET", "/v1/tenants/acme/acts?limit=1");
  EXPECT_NE(acts.body.find("transcript_read"), std::string::npos) << acts.body;
  EXPECT_NE(member(acts, "next_page_token"), "") << "it was read twice";
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// GATEHOUSE_WRITE_DOCS=1 writes the copy anew.
TEST(OpenApi, TheDocumentInTheDocsIsTheOneThatIsServed) {
  const std::string path = GATEHOUSE_DOCS "/openapi.json";
  if (std::getenv("GATEHOUSE_WRITE_DOCS") != nullptr) std::ofstream(path) << openapi_document();
  EXPECT_EQ(file_text(path), openapi_document());
}

TEST(OpenApi, HasEveryRouteAndNoOther) {
  const std::string copy = file_text(GATEHOUSE_DOCS "/openapi.json");
  const auto document = wire::scan_object(copy, wire::Duplicates::kRejectEverywhere);
  ASSERT_TRUE(document) << document.error().message();
  std::map<std::string, std::string> described;  // the right, by method and path
  for (const wire::JsonMember& path : wire::scan_object(document->find("paths")->raw)->members) {
    for (const wire::JsonMember& method : wire::scan_object(path.value.raw)->members) {
      const auto operation = wire::scan_object(method.value.raw);
      described[method.key + " " + path.key] =
          operation->string("x-gatehouse-right").value_or("none");
    }
  }
  std::map<std::string, std::string> served;
  for (const Route& route : routes()) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c | 0x20);
    served[method + " " + route.path] = std::string(control::text(route.right));
  }
  EXPECT_EQ(described, served);
}

TEST(Rights, TheTableInTheDocsIsTheOneInForce) {
  const std::string page = file_text(GATEHOUSE_DOCS "/people.md");
  for (std::size_t i = 0; i < kRights; ++i) {
    const auto right = static_cast<Right>(i);
    if (right == Right::kSignedIn || right == Right::kAnyone) continue;
    std::string row = "| `" + std::string(text(right)) + "` |";
    for (const std::string_view role : role_names()) {
      row += role_gives(role, right) ? " yes |" : " |";
    }
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

TEST(Rights, WhoManagesPeopleMayGrantWhatTheyCouldTakeThatWay) {
  for (const std::string_view role : role_names()) {
    if (role_gives(role, Right::kPeople)) EXPECT_TRUE(role_gives(role, Right::kGrant)) << role;
  }
}

}  // namespace
}  // namespace gatehouse::control
