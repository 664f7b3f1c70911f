// SPDX-License-Identifier: Apache-2.0
#include "control/attachments.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "control/admin.h"
#include "control/memory.h"
#include "control/vfs.h"
#include "net/sim_file.h"
#include "net/sim_loop.h"
#include "wire/json.h"
#include "wire/run_token.h"
#include "wire/signature.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kLife = std::chrono::minutes(10);

// The other roles, as far as Runs without a sandbox need them.
class FakeRoles : public Ports {
 public:
  Task<Result<ipc::Parcel>> ask(std::string role, ipc::Parcel request, Deadline) override {
    if (away == role) co_return failure(Error::kUnavailable, role + " is away");
    if (role == "audit") {
      log.push_back(*audit::decode(ipc::decode<ipc::Append>(request.payload)->entry));
      ipc::Appended done{log.size() - 1};
      co_return ipc::parcel_of(done);
    }
    if (request.type == ipc::GetStatus::kType) co_return ipc::parcel_of(status);
    if (request.type == ipc::DeclareRunLive::kType) {
      ipc::RunLive live{{{"web", "ghph_placeholder"}}, "the tenant's CA"};
      co_return ipc::parcel_of(live);
    }
    if (role == "gateway") take_as_gateway(request);
    ipc::Done done;
    co_return ipc::parcel_of(done);
  }
  std::vector<std::string> present(const std::string& role) override {
    return role == "gateway" ? std::vector<std::string>{"gateway"} : std::vector<std::string>{};
  }

  std::string away;
  ipc::Status status;
  std::vector<audit::Entry> log;
  std::map<RunId, ipc::OpenAttachment> open;  // at the gateway
  std::vector<wire::Jwk> keys;                // that it knows
  std::string certificate;

 private:
  void take_as_gateway(const ipc::Parcel& request) {
    if (request.type == ipc::OpenAttachment::kType) {
      auto opening = *ipc::decode<ipc::OpenAttachment>(request.payload);
      const RunId run = opening.run.run;
      open.insert_or_assign(run, std::move(opening));
    } else if (request.type == ipc::CloseAttachment::kType) {
      open.erase(ipc::decode<ipc::CloseAttachment>(request.payload)->run);
    } else if (request.type == ipc::KeepAttachments::kType) {
      const auto keep = *ipc::decode<ipc::KeepAttachments>(request.payload);
      std::erase_if(open, [&](const auto& item) {
        return std::find(keep.runs.begin(), keep.runs.end(), item.first) == keep.runs.end();
      });
    } else if (request.type == ipc::UseAttachIdentity::kType) {
      certificate = ipc::decode<ipc::UseAttachIdentity>(request.payload)->certificate_pem;
    } else if (request.type == ipc::SnapshotReady::kType) {
      const auto bytes = bytes_of_memory(request.fds.front(), 1 << 20);
      keys.clear();
      for (const std::string& x : ipc::decode<ipc::Snapshot>(*bytes)->run_token_keys) {
        keys.push_back({wire::Jwk::Type::kEd25519, wire::ed25519_key_id(x), "", "", "", x, ""});
      }
    }
  }
};

constexpr std::string_view kFile = R"(version: 1
data: /data
tenants: [{name: acme}, {name: globex}]
issuers: [{name: forge, tenant: acme, url: "https://forge.example"}]
users:
  - {name: ada, tenant: acme}
  - {name: bob, tenant: acme}
  - {name: gus, tenant: globex}
accounts:
  - {name: ci, tenant: acme, issuer: forge, audience: a, subject: s, runs_for: [bob]}
bindings:
  - {role: developer, user: ada, tenant: acme}
  - {role: developer, account: ci, tenant: acme}
  - {role: owner, user: gus, tenant: globex}
services:
  - {name: web, tenant: acme, kind: http, url: "https://web.example",
     upstream: "https://web.example",
     credential: {kind: static, header: authorization}}
agents:
  - name: claw
    tenant: acme
    environment: {TOKEN: "{{placeholder:web}}"}
    rules: [{id: read, service: web, methods: [GET], paths: ["/**"]}]
)";

Config config_of(std::string_view yaml) {
  auto config = decode_config(yaml, [](const std::string& path) -> Result<std::string> {
    return failure(Error::kNotFound, path);
  });
  EXPECT_TRUE(config) << (config ? "" : config.error().front().what);
  return config.value_or(Config());
}

class AttachmentsTest : public testing::Test {
 protected:
  AttachmentsTest() {
    control.let_in(*attachments);
    EXPECT_TRUE(control.begin(config_of(kFile)));
    control.arrived("gateway");
    pass(1s);
    for (const char* name : {"ada", "ci"}) sign_in("acme", name);
    sign_in("globex", "gus");
  }
  static AttachPlace place() {
    AttachPlace made;
    made.address = "gate.example:8443";
    made.certificate_pem = "certificate 1";
    made.private_key_pem = Secret("key 1");
    made.token_life = kLife;
    return made;
  }
  void sign_in(const std::string& tenant, const std::string& name) {
    Session session;
    session.digest = sha256_text("token-of-" + name);
    session.kind = name == "ci" ? Kind::kAccount : Kind::kUser;
    session.tenant = tenant;
    session.name = name;
    session.began = loop->wall();
    session.ends = WallTime(loop->wall().unix_nanos() + Nanos(std::chrono::hours(200)).count());
    EXPECT_TRUE(store->begin_session(session));
  }
  void pass(Nanos span) { loop->run_for(span); }

  ApiAnswer ask(const std::string& who, const std::string& path, const std::string& body = "{}") {
    ApiRequest request;
    request.method = "POST";
    request.path = "/v1/tenants/acme/runs" + path;
    request.body = body;
    request.is_house = who == "house";
    if (who != "house") request.authorization = "Bearer token-of-" + who;
    return loop->run_until_done(admin.answer(std::move(request))).value_or(ApiAnswer());
  }
  [[nodiscard]] std::string wish(const std::string& user, std::string more = "") const {
    return R"({"agent":"claw","user":")" + user + R"(","cnf":{"x5t#S256":")"
           + to_base64url(thumbprint) + R"("})" + more + "}";
  }
  static std::string member(const ApiAnswer& answer, std::string_view key) {
    const auto object = wire::scan_object(answer.body);
    return object ? object->string(key).value_or("") : "";
  }
  // "" where the gateway would let it in.
  [[nodiscard]] std::string fault(const ApiAnswer& answer) const {
    const auto token = wire::verified_run_token(member(answer, "access_token"), roles.keys,
                                                thumbprint, loop->wall());
    return token ? "" : std::string(wire::label(token.error().fault));
  }
  [[nodiscard]] control::Run run_of(const ApiAnswer& begun) const {
    return *store->run(*RunId::parse(member(begun, "run")));
  }
  [[nodiscard]] std::string why_ended(const RunId& run) const {
    for (const audit::Entry& entry : roles.log) {
      if (entry.kind == audit::Kind::kRunEnded && entry.run == run) {
        return std::string(entry.tag("reason"));
      }
    }
    return "it did not";
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  std::unique_ptr<net::SimFileSystem> disk = net::make_sim_file_system(1);
  Vfs vfs{*disk};
  std::unique_ptr<StateStore> store = std::move(*open_sqlite_store("state.db", vfs.name()));
  FakeRoles roles;
  Control control{*loop, *store, roles, "boot"};
  std::unique_ptr<Attachments> attachments = std::make_unique<Attachments>(
      *loop, *store, control, *RunTokenKeys::open(*disk, loop->wall()), place());
  Admin admin{*loop, *store, control, attachments.get()};
  std::string thumbprint = std::string(32, 't');
};

TEST_F(AttachmentsTest, ARunIsBegunForACertificateAndEveryGatewayKnowsIt) {
  const ApiAnswer begun = ask("ada", "", wish("ada", R"(,"environment":["MODE=fast"])"));
  ASSERT_EQ(begun.status, 201) << begun.body;
  EXPECT_EQ(fault(begun), "");
  EXPECT_TRUE(begun.body.contains(R"("environment":["MODE=fast","TOKEN=ghph_placeholder"])"))
      << begun.body;
  EXPECT_EQ(member(begun, "ca"), "the tenant's CA");
  EXPECT_TRUE(begun.body.contains(R"("expires_in":600)"));
  EXPECT_TRUE(
      begun.body.contains(R"("address":"gate.example:8443","certificate":"certificate 1")"));
  const control::Run run = run_of(begun);
  EXPECT_TRUE(run.is_attached() && run.is_live());
  ASSERT_TRUE(roles.open.contains(run.id));
  EXPECT_EQ(roles.open.at(run.id).thumbprint, thumbprint);
  EXPECT_EQ(roles.open.at(run.id).run.user, "ada");
  EXPECT_EQ(roles.open.at(run.id).placeholders.front().text, "ghph_placeholder");
  EXPECT_EQ(roles.certificate, "certificate 1");
  const audit::Entry& entry = roles.log.back();
  EXPECT_EQ(entry.kind, audit::Kind::kRunStarted);
  EXPECT_EQ(entry.tag("sandbox"), "none");
  EXPECT_EQ(entry.tag("by"), "user acme/ada");
  EXPECT_EQ(ask("ada", "/" + run.id.text() + "/end", R"({"exit_status":3})").status, 204);
  EXPECT_EQ(store->run(run.id)->exit_status, 3);
  EXPECT_TRUE(roles.open.empty());
}

TEST_F(AttachmentsTest, NobodyBeginsARunForAnotherByNamingThem) {
  EXPECT_EQ(ask("ada", "", wish("bob")).status, 403);
  EXPECT_EQ(ask("ci", "", wish("ada")).status, 403);
  EXPECT_EQ(ask("gus", "", wish("ada")).status, 403) << "of another tenant";
  EXPECT_EQ(ask("ci", "", wish("bob")).status, 201);
  EXPECT_EQ(ask("house", "", wish("bob")).status, 201);
  EXPECT_EQ(ask("house", "", wish("nobody")).status, 404);
  EXPECT_EQ(ask("ci", "", wish("")).status, 400) << "an account is nobody to act for";
}

TEST_F(AttachmentsTest, AWishThatIsWrongIsRefusedAndBeginsNothing) {
  for (const char* wrong : {"", "[]", "{}", R"({"agent":"claw","user":"bob"})",
                            R"({"agent":"claw","user":"bob","cnf":{}})",
                            R"({"agent":"claw","user":"bob","cnf":{"x5t#S256":"dGh1bWI"}})",
                            R"({"agent":"claw","user":"bob","cnf":{"jkt":"dGh1bWI"}})",
                            R"({"agent":"claw","user":"bob","cnf":{"x5t#S256":)"
                            R"("dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR="}})"}) {
    EXPECT_EQ(ask("house", "", wrong).status, 400) << wrong;
  }
  EXPECT_EQ(ask("house", "", wish("bob", R"(,"environment":["=x"])")).status, 400);
  EXPECT_EQ(ask("house", "", wish("bob", R"(,"more":1)")).status, 400);
  EXPECT_TRUE(store->live_runs()->empty() && roles.open.empty());
}

TEST_F(AttachmentsTest, ATokenIsRenewedByWhoBeganTheRunAndForItsCertificate) {
  const ApiAnswer begun = ask("ada", "", wish("ada"));
  const std::string path = "/" + member(begun, "run") + "/token";
  pass(kLife / 2);
  const ApiAnswer renewed = ask("ada", path);
  ASSERT_EQ(renewed.status, 200) << renewed.body;
  EXPECT_EQ(fault(renewed), "");
  EXPECT_NE(member(renewed, "access_token"), member(begun, "access_token"));
  pass(kLife / 2);
  EXPECT_EQ(fault(begun), "expired");
  EXPECT_EQ(fault(renewed), "");
  EXPECT_EQ(ask("ci", path).status, 403) << "whoever else has the right";
  EXPECT_EQ(ask("house", path).status, 403) << "nor the house, which did not begin it";
  EXPECT_EQ(ask("house", "/" + member(begun, "run") + "/end").status, 403);
  EXPECT_EQ(roles.log.back().tag("outcome"), "denied");
}

TEST_F(AttachmentsTest, ARunWhoseForwarderIsSilentForATokensLifeEnds) {
  const ApiAnswer begun = ask("ada", "", wish("ada"));
  const control::Run run = run_of(begun);
  for (int i = 0; i < 5; ++i) {
    pass(kLife * 3 / 4);
    ASSERT_EQ(ask("ada", "/" + run.id.text() + "/token").status, 200) << i;
  }
  EXPECT_TRUE(store->run(run.id)->is_live());
  pass(kLife + 31s);
  EXPECT_FALSE(store->run(run.id)->is_live());
  EXPECT_TRUE(why_ended(run.id).contains("not heard of for 600 s")) << why_ended(run.id);
  EXPECT_TRUE(roles.open.empty());
  EXPECT_EQ(ask("ada", "/" + run.id.text() + "/token").status, 404);
}

TEST_F(AttachmentsTest, AKilledRunGetsNoTokenAndIsThereWhenItIsRevived) {
  const ApiAnswer begun = ask("ada", "", wish("ada"));
  const control::Run run = run_of(begun);
  roles.status.killed = {run.id};
  for (int i = 0; i < 6; ++i) {
    pass(kLife / 2);
    EXPECT_EQ(ask("ada", "/" + run.id.text() + "/token").status, 403);
  }
  EXPECT_TRUE(store->run(run.id)->is_live()) << "its forwarder asks on";
  roles.status.killed.clear();
  EXPECT_EQ(fault(ask("ada", "/" + run.id.text() + "/token")), "");
  roles.status.all_killed = true;
  EXPECT_EQ(ask("ada", "/" + run.id.text() + "/token").status, 403);
  EXPECT_EQ(ask("ada", "", wish("ada")).status, 403) << "while everything is killed none begins";
}

TEST_F(AttachmentsTest, ARunEndsWithItsUserItsAgentAndTheRightOfWhoBeganIt) {
  const std::string file(kFile);
  const auto without = [&](std::string_view line) {
    std::string text = file;
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos);
    return text.erase(at, line.size());
  };
  const ApiAnswer of_bob = ask("ci", "", wish("bob"));
  ASSERT_EQ(of_bob.status, 201);
  ASSERT_TRUE(store->apply_file(config_of(without(", runs_for: [bob]"))));
  sign_in("acme", "ci");  // who is changed signs in again
  EXPECT_EQ(ask("ci", "/" + member(of_bob, "run") + "/token").status, 403);
  std::string gone = without(", runs_for: [bob]");
  gone.erase(gone.find("  - {name: bob, tenant: acme}\n"), 30);
  ASSERT_TRUE(store->apply_file(config_of(gone)));
  pass(31s);
  EXPECT_EQ(why_ended(run_of(of_bob).id), "user bob is no more");
  EXPECT_TRUE(roles.open.empty());
}

TEST_F(AttachmentsTest, KeysChangeAfterADayAndTwoAreGoodAtATime) {
  const ApiAnswer begun = ask("ada", "", wish("ada"));
  const std::string path = "/" + member(begun, "run") + "/token";
  ASSERT_EQ(roles.keys.size(), 1U);
  const std::string first = roles.keys.front().x;
  ApiAnswer before;
  ApiAnswer now = begun;
  for (Nanos passed{}; passed < RunTokenKeys::kSignsFor + kLife; passed += kLife / 2) {
    before = now;
    pass(kLife / 2);
    now = ask("ada", path);
    ASSERT_EQ(now.status, 200);
    EXPECT_EQ(fault(now), "") << "the gateway knows a key before it signs";
    EXPECT_EQ(fault(before), "") << "and the one before it still";
  }
  ASSERT_EQ(roles.keys.size(), 2U);
  EXPECT_EQ(roles.keys.back().x, first);
  for (Nanos passed{}; passed < RunTokenKeys::kSignsFor + kLife; passed += kLife / 2) {
    pass(kLife / 2);
    ASSERT_EQ(ask("ada", path).status, 200);
  }
  EXPECT_EQ(roles.keys.size(), 2U);
  EXPECT_NE(roles.keys.back().x, first) << "the first is over";
}

TEST_F(AttachmentsTest, AnotherStartKeepsTheRunsAndTheKeys) {
  const ApiAnswer begun = ask("ada", "", wish("ada"));
  const control::Run run = run_of(begun);
  roles.open.clear();
  attachments.reset();
  Control next(*loop, *store, roles, "another boot");
  Attachments again(*loop, *store, next, *RunTokenKeys::open(*disk, loop->wall()), place());
  next.let_in(again);
  ASSERT_TRUE(next.begin(config_of(kFile)));
  next.arrived("gateway");
  pass(1s);
  EXPECT_TRUE(store->run(run.id)->is_live()) << "it is on no machine that was booted";
  EXPECT_TRUE(roles.open.contains(run.id));
  EXPECT_EQ(fault(begun), "");
  pass(kLife - 2s);
  EXPECT_TRUE(store->run(run.id)->is_live()) << "its forwarder has the time of a token to be heard";
  pass(33s);
  EXPECT_FALSE(store->run(run.id)->is_live());
}

TEST_F(AttachmentsTest, WhereNoneAreLetInAnyMoreTheyEnd) {
  const control::Run run = run_of(ask("ada", "", wish("ada")));
  Control next(*loop, *store, roles, "boot");
  ASSERT_TRUE(next.begin(config_of(kFile)));
  EXPECT_FALSE(store->run(run.id)->is_live());
  Admin without(*loop, *store, next);
  ApiRequest request;
  request.method = "POST";
  request.path = "/v1/tenants/acme/runs";
  request.body = wish("ada");
  request.is_house = true;
  EXPECT_EQ(loop->run_until_done(without.answer(request))->status, 501);
}

TEST_F(AttachmentsTest, AGatewayThatWasAwayHearsWhatThereIsNow) {
  const control::Run first = run_of(ask("ada", "", wish("ada")));
  roles.away = "gateway";
  const control::Run second = run_of(ask("ada", "", wish("ada")));
  EXPECT_EQ(ask("ada", "/" + first.id.text() + "/end").status, 204);
  EXPECT_TRUE(roles.open.contains(first.id) && !roles.open.contains(second.id));
  roles.away.clear();
  pass(3s);
  EXPECT_TRUE(!roles.open.contains(first.id) && roles.open.contains(second.id));
}

TEST_F(AttachmentsTest, WhatCannotBePutOnRecordDoesNotBegin) {
  roles.away = "audit";
  EXPECT_EQ(ask("ada", "", wish("ada")).status, 503);
  EXPECT_TRUE(store->live_runs()->empty() && roles.open.empty());
}

TEST_F(AttachmentsTest, ThereAreSoManyAndNoMore) {
  for (std::size_t i = 0; i < ipc::kAttachmentsMost; ++i) {
    control::Run run;
    run.id = RunId::fresh();
    run.trace = TraceId::fresh();
    run.tenant = "acme";
    run.user = "ada";
    run.agent = "claw";
    run.started = loop->wall();
    run.thumbprint = to_base64url(thumbprint);
    ASSERT_TRUE(store->start_run(run));
  }
  const ApiAnswer refused = ask("ada", "", wish("ada"));
  EXPECT_EQ(refused.status, 429) << refused.body;
}

// --- the file of keys

TEST(RunTokenKeysFile, IsReadAsItWasWrittenAndADamagedOneIsReplaced) {
  auto disk = net::make_sim_file_system(1);
  const WallTime now(1'800'000'000'000'000'000);
  const auto keys_of = [&] { return RunTokenKeys::open(*disk, now)->public_keys(); };
  const auto first = keys_of();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(keys_of(), first);
  auto keys = RunTokenKeys::open(*disk, now);
  ASSERT_TRUE(keys->make_next(now));
  const auto both = keys_of();
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both.back(), first.front());
  const std::string whole = *net::read_file(*disk, "run-token-keys", 1000);
  EXPECT_FALSE(parse_run_token_keys(whole + "x"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_run_token_keys(whole.substr(0, size))) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x41);
    EXPECT_FALSE(parse_run_token_keys(flipped)) << at;
  }
  std::string damaged = whole;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  ASSERT_TRUE(net::replace_file(*disk, "run-token-keys", damaged));
  EXPECT_NE(keys_of(), both) << "another is made, and what was signed is no good any more";
}

TEST(RunTokenKeysFile, OfANewerGatehouseIsLeftAsItIs) {
  auto disk = net::make_sim_file_system(1);
  ASSERT_TRUE(net::replace_file(*disk, "run-token-keys", "GHRUNTK2 and more"));
  const auto refused = RunTokenKeys::open(*disk, WallTime(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_EQ(*net::read_file(*disk, "run-token-keys", 100), "GHRUNTK2 and more");
}

TEST(RunTokenKeysFile, AKeyOfTheFutureIsChanged) {
  auto disk = net::make_sim_file_system(1);
  const WallTime ahead(1'900'000'000'000'000'000);
  const WallTime now(1'800'000'000'000'000'000);
  EXPECT_FALSE(RunTokenKeys::open(*disk, ahead)->is_due(ahead));
  EXPECT_TRUE(RunTokenKeys::open(*disk, ahead)->is_due(now)) << "the clock was far ahead";
}

}  // namespace
}  // namespace gatehouse::control
