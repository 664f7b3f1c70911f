// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/encoding.h"
#include "control/test_signer.h"
#include "control/vfs.h"
#include "ipc/control_courier.h"
#include "ipc/supervisor.h"
#include "net/sim_file.h"
#include "net/sim_loop.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

using net::Task;

// The other roles, as far as the admin API asks them: a log, a supervisor, a gateway.
class FakeHouse : public Ports {
 public:
  Task<Result<ipc::Parcel>> ask(std::string role, ipc::Parcel request, Deadline) override {
    if (role == "audit" && !log_is_away) co_return answer_as_audit(request);
    if (role == "supervisor") {
      if (request.type == ipc::Kill::kType)
        kills.push_back(*ipc::decode<ipc::Kill>(request.payload));
      ipc::KillDone done{1, 1, 0};
      co_return ipc::parcel_of(done);
    }
    if (role == "gateway") {
      ++published;
      ipc::Done done;
      co_return ipc::parcel_of(done);
    }
    if (role == "vault" && request.type == ipc::ListConnections::kType) {
      co_return ipc::parcel_of(connections);
    }
    if (role == "courier" && request.type == ipc::Fetch::kType) {
      const std::string url = ipc::decode<ipc::Fetch>(request.payload)->at.url;
      fetches.push_back(url);
      const auto found = documents.find(url);
      ipc::Fetched fetched{404, ""};
      if (found != documents.end()) fetched = {200, found->second};
      co_return ipc::parcel_of(fetched);
    }
    if (role == "sandboxd" && sandboxes && request.type == ipc::ListSandboxes::kType) {
      co_return ipc::parcel_of(*sandboxes);
    }
    co_return failure(Error::kUnavailable, role + " is away");
  }
  std::vector<std::string> present(const std::string& role) override {
    return role == "gateway" ? std::vector<std::string>{"gateway"} : std::vector<std::string>{};
  }

  std::optional<ipc::SandboxList> sandboxes;  // of a sandboxd that is there
  std::vector<audit::Entry> log;
  std::vector<ipc::Kill> kills;
  std::map<std::string, std::string> documents;  // on the web, by URL
  std::vector<std::string> fetches;
  ipc::ConnectionList connections;  // of whoever is asked for
  int published = 0;
  bool log_is_away = false;

 private:
  Result<ipc::Parcel> answer_as_audit(const ipc::Parcel& request) {
    if (request.type == ipc::Append::kType) {
      log.push_back(*audit::decode(ipc::decode<ipc::Append>(request.payload)->entry));
      ipc::Appended done{log.size() - 1};
      return ipc::parcel_of(done);
    }
    const bool acts = request.type == ipc::ReadActs::kType;
    if (acts || request.type == ipc::ReadRun::kType) {
      ipc::ReadRun read;
      if (acts) read.from_sequence = ipc::decode<ipc::ReadActs>(request.payload)->from_sequence;
      if (!acts) read = *ipc::decode<ipc::ReadRun>(request.payload);
      ipc::EntryPage page;
      for (std::uint64_t i = read.from_sequence; i < log.size(); ++i) {
        if (acts ? !audit::is_act(log[i].kind) : log[i].run != read.run) continue;
        page.sequences.push_back(i);
        page.entries.push_back(*audit::encode(log[i]));
      }
      return ipc::parcel_of(page);
    }
    return failure(Error::kNotFound, "no such body");
  }
};

constexpr std::string_view kFile = R"(version: 1
data: /data
tenants: [{name: acme}, {name: globex}]
users:
  - {name: olivia, tenant: acme}
  - {name: sam, tenant: acme}
  - {name: abel, tenant: acme}
  - {name: ada, tenant: acme}
  - {name: dave, tenant: acme}
  - {name: nora, tenant: acme}
  - {name: gus, tenant: globex}
groups: [{name: builders, tenant: acme, members: [dave]}]
bindings:
  - {role: owner, user: olivia, tenant: acme}
  - {role: security, user: sam, tenant: acme}
  - {role: approver, user: abel, tenant: acme}
  - {role: auditor, user: ada, tenant: acme}
  - {role: developer, group: builders, tenant: acme}
  - {role: owner, user: gus, tenant: globex}
services:
  - name: web
    tenant: acme
    kind: http
    url: https://web.example
    upstream: https://web.example
agents:
  - name: claw
    tenant: acme
    rules: [{id: read, service: web, methods: [GET], paths: ["/**"]}]
)";

class AdminTest : public testing::Test {
 protected:
  AdminTest() {
    const auto config = decode_config(kFile, [](const std::string& path) -> Result<std::string> {
      return failure(Error::kNotFound, path);
    });
    EXPECT_TRUE(config) << (config ? "" : config.error().front().what);
    EXPECT_TRUE(control.begin(*config));
    run.id = RunId::from_bytes({1});
    run.trace.bytes = {7};
    run.tenant = "acme";
    run.user = "olivia";
    run.agent = "claw";
    run.started = loop->wall();
    EXPECT_TRUE(store->start_run(run));
    for (const char* name : {"olivia", "sam", "abel", "ada", "dave", "nora"}) sign_in("acme", name);
    sign_in("globex", "gus");
  }

  void sign_in(const std::string& tenant, const std::string& name,
               Nanos lasts = std::chrono::hours(1)) {
    Session session;
    session.digest = sha256_text("token-of-" + name);
    session.tenant = tenant;
    session.name = name;
    session.began = loop->wall();
    session.ends = WallTime(loop->wall().unix_nanos() + lasts.count());
    EXPECT_TRUE(store->begin_session(session));
  }

  // As `who`: a user's name, "house", or "" for nobody.
  ApiAnswer ask(const std::string& who, ApiRequest request) {
    request.is_house = who == "house";
    if (!who.empty() && who != "house") request.authorization = "Bearer token-of-" + who;
    auto answer = loop->run_until_done(admin.answer(std::move(request)));
    EXPECT_TRUE(answer);
    return answer.value_or(ApiAnswer());
  }
  ApiAnswer ask(const std::string& who, const std::string& method, const std::string& target,
                const std::string& body = "") {
    ApiRequest request;
    request.method = method;
    const auto parsed = parse_target(target);
    EXPECT_TRUE(parsed) << target;
    request.path = parsed->path;
    request.query = parsed->query;
    request.body = body;
    return ask(who, std::move(request));
  }
  static std::vector<std::string> names_in(const ApiAnswer& answer) {
    std::vector<std::string> names;
    const auto page = wire::scan_object(answer.body);
    EXPECT_TRUE(page) << answer.body;
    const std::vector<wire::JsonValue> items = *wire::scan_array(page->find("items")->raw);
    for (const wire::JsonValue& item : items) {
      names.push_back(wire::scan_object(item.raw)->string("name").value_or(""));
    }
    return names;
  }
  static std::string member(const ApiAnswer& answer, std::string_view key) {
    const auto object = wire::scan_object(answer.body);
    return object ? object->string(key).value_or("") : "";
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  std::unique_ptr<net::SimFileSystem> disk = net::make_sim_file_system(1);
  Vfs vfs{*disk};
  std::unique_ptr<StateStore> store = std::move(*open_sqlite_store("state.db", vfs.name()));
  FakeHouse house;
  Control control{*loop, *store, house, "boot"};
  Admin admin{*loop, *store, control};
  control::Run run;
};

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
  std::string changed(kFile);
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
