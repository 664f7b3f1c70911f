// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "net/sim_loop.h"
#include "vault/root_key.h"
#include "vault/service.h"
#include "wire/sigv4.h"

namespace gatehouse::vault {
namespace {

using net::Task;

class Directory {
 public:
  Directory() {
    std::string pattern = "/tmp/gatehouse-vault-XXXXXX";
    path = mkdtemp(pattern.data());
    files = std::move(*net::open_file_system(path));
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
  std::unique_ptr<net::FileSystem> files;
};

TEST(Sealer, OpensOnlyWhatItWasToldItIs) {
  const Sealer sealer(Secret(std::string(32, 'k')));
  const RecordName name{"acme", "alice", "openai", ipc::CredentialKind::kStatic, 3};
  const std::string sealed = sealer.seal(name, Secret("sk-live-value"));
  const auto opened = sealer.open(name, sealed);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->open(Purpose::kCompare), "sk-live-value");
  for (const auto& change : std::initializer_list<void (*)(RecordName&)>{
           [](RecordName& n) { n.tenant = "acm"; }, [](RecordName& n) { n.user = "bob"; },
           [](RecordName& n) { n.service = "openaj"; },
           [](RecordName& n) { n.kind = ipc::CredentialKind::kOauth; },
           [](RecordName& n) { n.version = 2; },
           [](RecordName& n) {
             n.tenant = "acmea";
             n.user = "lice";
           }}) {
    RecordName other = name;
    change(other);
    EXPECT_FALSE(sealer.open(other, sealed)) << other.tenant << other.user << other.service;
  }
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    std::string flipped = sealed;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_FALSE(sealer.open(name, flipped)) << at;
  }
  EXPECT_NE(sealer.seal(name, Secret("x")), sealer.seal(name, Secret("x"))) << "nonces are fresh";
}

TEST(KeyFile, IsMadeOnceAndRefusedWhenOthersMayReadIt) {
  const Directory directory;
  const std::string path = directory.path + "/root.key";
  const auto made = load_or_make_key(directory.path);
  ASSERT_TRUE(made);
  struct stat about{};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_TRUE(*load_or_make_key(directory.path) == *made);
  chmod(path.c_str(), 0640);
  const auto open_to_others = load_or_make_key(directory.path);
  ASSERT_FALSE(open_to_others);
  EXPECT_TRUE(open_to_others.error().message().contains("chmod 600"));
  chmod(path.c_str(), 0600);
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_FALSE(load_or_make_key(directory.path));
  unlink(path.c_str());
  std::ofstream(directory.path + "/0123.sealed") << "x";
  const auto gone = load_or_make_key(directory.path);
  ASSERT_FALSE(gone) << "a new key opens nothing of what is there";
  EXPECT_TRUE(gone.error().message().contains("restore it"));
}

TEST(Authority, LeavesAreForOneHostAndBelowADay) {
  const auto authority = make_authority("acme");
  ASSERT_TRUE(authority);
  const auto leaf = issue_leaf(*authority, "api.example.com");
  ASSERT_TRUE(leaf) << leaf.error().message();
  EXPECT_TRUE(leaf->chain_pem.ends_with(authority->certificate_pem));
  EXPECT_LE(leaf->not_after_unix_s - time(nullptr), 24 * 3600);
  const auto back = parse_authority(authority_text(*authority));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->key_pem == authority->key_pem);
  EXPECT_FALSE(issue_leaf(*authority, "a,DNS:evil.test")) << "a host cannot smuggle a second name";
}

// An authorization server that behaves: one-use codes, rotation, and the whole family dead when an
// old refresh token comes again (RFC 9700 section 4.14.2).
class FakeServer {
 public:
  ipc::Posted answer(const std::string& form) {
    ++requests;
    if (form.contains("grant_type=authorization_code")) {
      if (!form.contains("code=good-code") || !form.contains("code_verifier=")) return refusal();
      return tokens();
    }
    if (dead || !form.contains("refresh_token=rt-" + std::to_string(generation) + "-")) {
      dead = true;
      return refusal();
    }
    ++generation;
    return tokens();
  }
  int requests = 0;
  int generation = 0;
  int life_s = 3600;
  bool dead = false;

 private:
  ipc::Posted tokens() const {
    const std::string n = std::to_string(generation);
    return {
        200,
        Secret(R"({"access_token":"at-)" + n + R"(-canary","refresh_token":"rt-)" + n
               + R"(-canary","token_type":"Bearer","expires_in":)" + std::to_string(life_s) + "}"),
        0, 0};
  }
  static ipc::Posted refusal() { return {400, Secret(R"({"error":"invalid_grant"})"), 0, 0}; }
};

class FakePorts : public Ports {
 public:
  explicit FakePorts(net::Loop& loop) : loop_(loop) {}
  Task<Result<void>> record(Use use) override {
    co_await loop_.sleep_for(1ms);
    if (!audit_is_there) co_return failure(Error::kAuditUnavailable, "the audit log is away");
    uses.push_back(std::move(use));
    co_return Result<void>();
  }
  Task<Result<ipc::Posted>> post(ipc::Post request, Deadline) override {
    const std::string form(request.form.open(Purpose::kTransport));
    traceparents.push_back(request.traceparent);
    co_await loop_.sleep_for(delay);
    if (lose_next) {
      lose_next = false;
      co_return failure(Error::kUnreachable, "connection refused");
    }
    co_return server.answer(form);
  }
  bool is_killed(const RunId& run) override { return killed.contains(run); }
  FakeServer server;
  std::set<RunId> killed;
  std::vector<std::string> traceparents;
  std::vector<Use> uses;
  bool audit_is_there = true;
  bool lose_next = false;
  Nanos delay = 50ms;

 private:
  net::Loop& loop_;
};

class VaultTest : public testing::Test {
 protected:
  VaultTest() {
    service = std::make_unique<Service>(*loop, *store, sealer, ports);
    EXPECT_TRUE(service->open_inbox());
    ipc::PublishService key;
    key.tenant = "acme";
    key.name = "openai";
    key.hosts = {"api.openai.test"};
    EXPECT_TRUE(run(service->publish(key)));
    ipc::PublishService calendar;
    calendar.tenant = "acme";
    calendar.name = "calendar";
    calendar.kind = ipc::CredentialKind::kOauth;
    calendar.hosts = {"calendar.test"};
    calendar.authorization_endpoint = "https://as.test/auth";
    calendar.token_endpoint = "https://as.test/token";
    calendar.issuer = "https://as.test";
    calendar.client_id = "gatehouse";
    calendar.scopes = {"calendar.read", "calendar.write"};
    EXPECT_TRUE(run(service->publish(calendar)));
  }
  template <class T>
  Result<T> run(Task<Result<T>> task) {
    auto value = loop->run_until_done(std::move(task));
    if (!value) return failure(Error::kInternal, "the task hangs");
    return std::move(*value);
  }
  std::string sealed(const std::string& value) {
    const std::string key = run(service->public_key())->x25519;
    std::string out(value.size() + crypto_box_SEALBYTES, '\0');
    crypto_box_seal(reinterpret_cast<unsigned char*>(out.data()), bytes_of(value).data(),
                    value.size(), bytes_of(key).data());
    return out;
  }
  void store_key(const std::string& user, const std::string& value) {
    ASSERT_TRUE(
        run(service->put({"acme", user, "openai", ipc::CredentialKind::kStatic, sealed(value)})));
  }
  void connect_calendar(const std::string& user) {
    const auto started = run(service->start({"acme", user, "calendar", "http://127.0.0.1:9/cb"}));
    ASSERT_TRUE(started);
    ASSERT_TRUE(run(service->finish({started->state, "https://as.test", sealed("good-code")})));
  }
  RunId live(const std::string& user, std::vector<std::string> services) {
    ipc::DeclareRunLive declare;
    declare.run = RunId::fresh();
    declare.trace = TraceId::fresh();
    declare.tenant = "acme";
    declare.user = user;
    declare.agent = "claw";
    declare.services = std::move(services);
    const auto answer = run(service->declare_live(declare));
    EXPECT_TRUE(answer);
    if (answer) placeholders = answer->placeholders;
    return declare.run;
  }
  static ipc::Lease ask(const RunId& of, const std::string& name, const std::string& host) {
    ipc::Lease lease;
    lease.run = of;
    lease.service = name;
    lease.host = host;
    lease.method = "POST";
    lease.path = "/v1/chat/completions";
    return lease;
  }

  Directory directory;
  Sealer sealer{Secret(std::string(32, 'k'))};
  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  std::unique_ptr<Store> store = std::move(*Store::open(*directory.files, sealer));
  FakePorts ports{*loop};
  std::unique_ptr<Service> service;
  std::vector<ipc::Placeholder> placeholders;
};

TEST_F(VaultTest, LeasesAStoredKeyForALiveRunAndRecordsIt) {
  store_key("alice", "sk-canary-1234567890");
  const RunId of = live("alice", {"openai"});
  ASSERT_EQ(placeholders.size(), 1u);
  EXPECT_TRUE(placeholders[0].text.starts_with("ghph_"));
  auto leased = run(service->lease(ask(of, "openai", "api.openai.test"), "gateway"));
  ASSERT_TRUE(leased) << leased.error().message();
  EXPECT_EQ(leased->value.open(Purpose::kCompare), "sk-canary-1234567890");
  ASSERT_EQ(ports.uses.size(), 2u);
  EXPECT_EQ(ports.uses[0].what, "stored");
  EXPECT_EQ(ports.uses[1].what, "lease");
  EXPECT_EQ(ports.uses[1].user, "alice");
  EXPECT_EQ(ports.uses[1].fingerprint.size(), 16u);
  EXPECT_EQ(service->live_leases(), 1u);
  ASSERT_TRUE(run(service->end_leases({{leased->lease}})));
  EXPECT_EQ(service->live_leases(), 0u);
}

TEST_F(VaultTest, GivesNothingWithoutALiveRunTheServiceTheHostOrTheLog) {
  store_key("alice", "sk-canary-1234567890");
  const RunId of = live("alice", {"openai"});
  const auto refused = [&](const ipc::Lease& lease, Error::Code code) {
    const auto answer = run(service->lease(lease, "gateway"));
    EXPECT_FALSE(answer);
    if (answer) return;
    EXPECT_EQ(answer.error(), code) << answer.error().message();
    EXPECT_FALSE(answer.error().message().contains("canary"));
  };
  refused(ask(RunId::fresh(), "openai", "api.openai.test"), Error::kLeaseRefused);
  refused(ask(of, "openai", "evil.test"), Error::kLeaseRefused);
  refused(ask(of, "calendar", "calendar.test"), Error::kLeaseRefused);
  refused(ask(live("bob", {"openai"}), "openai", "api.openai.test"), Error::kLeaseRefused);
  ports.audit_is_there = false;
  refused(ask(of, "openai", "api.openai.test"), Error::kAuditUnavailable);
  ports.audit_is_there = true;
  ASSERT_TRUE(run(service->declare_ended({of})));
  refused(ask(of, "openai", "api.openai.test"), Error::kLeaseRefused);
  EXPECT_EQ(ports.uses.back().what, "refused") << "who asks for what it must not have is on record";
}

class Signing : public VaultTest {
 protected:
  Signing() {
    ipc::PublishService aws;
    aws.tenant = "acme";
    aws.name = "aws";
    aws.hosts = {"aws.gatehouse", "bedrock-runtime.us-east-1.amazonaws.com"};
    aws.sign_region = "us-east-1";
    aws.sign_service = "bedrock";
    EXPECT_TRUE(run(service->publish(aws)));
    EXPECT_TRUE(run(service->put({"acme", "alice", "aws", ipc::CredentialKind::kStatic,
                                  sealed("AKIDEXAMPLE:canary/secret+key")})));
    of = live("alice", {"aws"});
  }
  ipc::Lease asked(const std::string& host, std::int64_t off_s,
                   const std::string& method = "POST") {
    ipc::Lease lease = ask(of, "aws", "aws.gatehouse");
    lease.to_sign = wire::sigv4_canonical_request(
        method, "/model/m/converse", "",
        {{"host", host}, {"x-amz-date", wire::sigv4_date(loop->wall().unix_seconds() + off_s)}},
        "{}");
    return lease;
  }
  RunId of = ipc::no_run();
};

TEST_F(Signing, LeasesASignatureAndNeverTheKey) {
  const ipc::Lease lease = asked("bedrock-runtime.us-east-1.amazonaws.com", 0);
  auto leased = run(service->lease(lease, "gateway"));
  ASSERT_TRUE(leased) << leased.error().message();
  EXPECT_EQ(leased->value.open(Purpose::kCompare),
            *wire::sigv4_authorization(Secret("AKIDEXAMPLE:canary/secret+key"), "us-east-1",
                                       "bedrock", lease.to_sign));
  EXPECT_TRUE(leased->known.empty()) << "a signature is worth nothing for another request";
  EXPECT_EQ(ports.uses.back().what, "lease");
  EXPECT_EQ(ports.uses.back().fingerprint.size(), 16u);
  const std::string first = ports.uses.back().fingerprint;
  ASSERT_TRUE(run(service->lease(asked("aws.gatehouse:8080", 299), "gateway")));
  EXPECT_EQ(ports.uses.back().fingerprint, first) << "of the key pair";
}

TEST_F(Signing, SignsOnlyWhatTheGatewayMayHaveSigned) {
  ipc::Lease nothing = asked("aws.gatehouse", 0);
  nothing.to_sign.clear();
  ipc::Lease changed = asked("aws.gatehouse", 0);
  changed.to_sign += "0";
  for (const ipc::Lease& lease :
       {nothing, changed, asked("evil.test", 0), asked("s3.amazonaws.com", 0),
        asked("aws.gatehouse", 301), asked("aws.gatehouse", -301),
        asked("aws.gatehouse", 0, "DELETE")}) {
    const auto refused = run(service->lease(lease, "gateway"));
    ASSERT_FALSE(refused) << lease.to_sign;
    EXPECT_EQ(refused.error(), Error::kLeaseRefused) << refused.error().message();
    EXPECT_FALSE(refused.error().message().contains("canary"));
  }
  ASSERT_TRUE(run(service->put(
      {"acme", "alice", "aws", ipc::CredentialKind::kStatic, sealed("canary-is-no-pair")})));
  const auto broken = run(service->lease(asked("aws.gatehouse", 0), "gateway"));
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().message().contains("ACCESS_KEY_ID")) << broken.error().message();
  EXPECT_FALSE(broken.error().message().contains("canary"));
}

TEST_F(VaultTest, ForgetsAServiceThatIsNoLongerThere) {
  store_key("alice", "sk-canary-1234567890");
  const RunId of = live("alice", {"openai"});
  ASSERT_TRUE(run(service->keep({{{"acme", "openai"}}})));
  EXPECT_TRUE(run(service->lease(ask(of, "openai", "api.openai.test"), "gateway")));
  ASSERT_TRUE(run(service->keep({{{"acme", "calendar"}}})));
  EXPECT_FALSE(run(service->lease(ask(of, "openai", "api.openai.test"), "gateway")));
}

// A gateway that is started again, or that means ill, leaves in the middle of a refresh: the token
// that the server has rotated meanwhile is kept all the same.
TEST_F(VaultTest, AnAskerThatLeavesInTheMiddleOfARefreshTakesNothingWithIt) {
  ports.server.life_s = 1;  // due at once
  connect_calendar("alice");
  const RunId of = live("alice", {"calendar"});
  ports.server.life_s = 3600;
  for (std::uint64_t steps = 0; steps < 20; ++steps) {
    net::Nursery gateway(*loop);
    gateway.spawn([](this auto, Service* to, ipc::Lease lease) -> Task<void> {
      (void)co_await to->lease(std::move(lease), "gateway");
    }(service.get(), ask(of, "calendar", "calendar.test")));
    loop->run_steps(steps);
    gateway.cancel_all();
    loop->run_for(1s);
  }
  EXPECT_FALSE(ports.server.dead) << "an old refresh token was sent again";
  const auto leased = run(service->lease(ask(of, "calendar", "calendar.test"), "gateway"));
  ASSERT_TRUE(leased) << leased.error().message();
  ASSERT_FALSE(ports.traceparents.empty());
  EXPECT_TRUE(ports.traceparents.back().starts_with("00-")) << "of the run that asked";
}

TEST_F(VaultTest, AnAnswerThatDoesNotSayWhoseItIsIsRefusedWhereTheServerIsKnown) {
  const auto started = run(service->start({"acme", "alice", "calendar", "http://127.0.0.1:9/cb"}));
  ASSERT_TRUE(started);
  const auto finished = run(service->finish({started->state, "", sealed("good-code")}));
  ASSERT_FALSE(finished);
  EXPECT_TRUE(finished.error().message().contains("RFC 9207"));
}

TEST_F(VaultTest, AKillEndsLeasesAndGivesNoFurtherOneWhateverTheGatewaySays) {
  store_key("alice", "sk-canary-1234567890");
  const RunId of = live("alice", {"openai"});
  const RunId other = live("alice", {"openai"});
  ASSERT_TRUE(run(service->lease(ask(of, "openai", "api.openai.test"), "gateway")));
  ASSERT_TRUE(run(service->lease(ask(of, "openai", "api.openai.test"), "gateway")));
  ASSERT_TRUE(run(service->lease(ask(other, "openai", "api.openai.test"), "gateway")));
  EXPECT_EQ(service->live_leases(), 3u);
  ports.killed.insert(of);
  EXPECT_EQ(service->end_killed(), 2u);
  EXPECT_EQ(service->live_leases(), 1u);
  const auto refused = run(service->lease(ask(of, "openai", "api.openai.test"), "gateway"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kLeaseRefused);
  EXPECT_TRUE(run(service->lease(ask(other, "openai", "api.openai.test"), "gateway")));
  ports.killed.clear();
  EXPECT_TRUE(run(service->lease(ask(of, "openai", "api.openai.test"), "gateway"))) << "revived";
}

TEST_F(VaultTest, RateLimitsARun) {
  store_key("alice", "sk-canary-1234567890");
  const RunId of = live("alice", {"openai"});
  int refused = 0;
  for (int i = 0; i < 8000; ++i) {
    const auto answer = run(service->lease(ask(of, "openai", "api.openai.test"), "gateway"));
    if (!answer) {
      EXPECT_EQ(answer.error(), Error::kTooMany);
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST_F(VaultTest, AStoredKeyOutlivesTheProcessSealed) {
  store_key("alice", "sk-canary-1234567890");
  for (const std::string& file : *directory.files->list(".")) {
    const std::string bytes = *net::read_file(*directory.files, file, 1 << 20);
    EXPECT_FALSE(bytes.contains("canary")) << file;
  }
  auto again = Store::open(*directory.files, sealer);
  ASSERT_TRUE(again);
  const auto value = (*again)->get({"acme", "alice", "openai", ipc::CredentialKind::kStatic});
  ASSERT_TRUE(value);
  EXPECT_EQ(value->open(Purpose::kCompare), "sk-canary-1234567890");
}

// The bytes are frozen: a change of the format gets another magic, and reads this one.
TEST(RecordFile, OfVersion1IsReadAndANewerOneIsRefused) {
  const std::string frozen = *from_hex(
      "47485641554c54310400000061636d6505000000616c696365060000006f70656e616900030000000000"
      "00000700000000000000290000009c149572986461f3d6f9314889bfc854a63cee6091eaa13d3337ada1"
      "b65cdb59c391a94f23de594b87");
  const auto record = parse_record_file(frozen);
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->name.tenant, "acme");
  EXPECT_EQ(record->name.version, 3U);
  EXPECT_EQ(record->changed_unix_ms, 7);
  const Sealer sealer(Secret(std::string(32, 'k')));
  const auto opened = sealer.open(record->name, record->sealed);
  ASSERT_TRUE(opened) << "the cipher and the derived key are part of the format";
  EXPECT_EQ(opened->open(Purpose::kCompare), "sk-live-value");

  std::string newer = frozen;
  newer[7] = '2';
  const auto refused = parse_record_file(newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_EQ(refused.error().message(),
            "made by a newer gatehouse: the sealed record is of version 2, and this gatehouse "
            "reads up to 1; run that one, or restore a backup");
  newer[7] = '0';
  EXPECT_EQ(parse_record_file(newer).error(), Error::kCorrupt);
}

TEST_F(VaultTest, ConnectsByCodeAndPkce) {
  const auto started = run(service->start({"acme", "alice", "calendar", "http://127.0.0.1:9/cb"}));
  ASSERT_TRUE(started);
  EXPECT_TRUE(
      started->url.starts_with("https://as.test/auth?response_type=code&client_id=gatehouse"));
  EXPECT_TRUE(started->url.contains("code_challenge_method=S256"));
  EXPECT_FALSE(run(service->finish({started->state, "https://evil.test", sealed("good-code")})));
  EXPECT_FALSE(run(service->finish({started->state, "https://as.test", sealed("good-code")})))
      << "a state is good for one answer";
  connect_calendar("alice");
  const auto list = run(service->list({"acme", ""}));
  ASSERT_TRUE(list);
  ASSERT_EQ(list->connections.size(), 1u);
  EXPECT_EQ(list->connections[0].state, "ok");
  const RunId of = live("alice", {"calendar"});
  auto leased = run(service->lease(ask(of, "calendar", "calendar.test"), "gateway"));
  ASSERT_TRUE(leased) << leased.error().message();
  EXPECT_EQ(leased->value.open(Purpose::kCompare), "at-0-canary");
}

TEST_F(VaultTest, FiftyAtOnceRefreshOnce) {
  ports.server.life_s = 1;  // due at once
  connect_calendar("alice");
  const RunId of = live("alice", {"calendar"});
  ports.server.life_s = 3600;
  const int before = ports.server.requests;
  int right = 0;
  net::Nursery nursery(*loop);
  for (int i = 0; i < 50; ++i) {
    nursery.spawn([](this auto, Service* to, ipc::Lease lease, int* count) -> Task<void> {
      const auto answer = co_await to->lease(std::move(lease), "gateway");
      if (answer && answer->value.open(Purpose::kCompare) == "at-1-canary") ++*count;
    }(service.get(), ask(of, "calendar", "calendar.test"), &right));
  }
  loop->run_for(10s);
  EXPECT_EQ(right, 50);
  EXPECT_EQ(ports.server.requests, before + 1);
  EXPECT_FALSE(ports.server.dead);
}

TEST_F(VaultTest, AWallClockThatIsSetMovesNoTokensEnd) {
  connect_calendar("alice");  // for an hour
  const RunId of = live("alice", {"calendar"});
  const int before = ports.server.requests;
  loop->jump_wall(std::chrono::hours(24 * 365));
  ASSERT_TRUE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  EXPECT_EQ(ports.server.requests, before) << "it has not ended: nothing is renewed";
  loop->jump_wall(-std::chrono::hours(2 * 24 * 365));
  loop->run_for(std::chrono::minutes(61));
  ASSERT_TRUE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  EXPECT_EQ(ports.server.requests, before + 1) << "it has ended: it is renewed";
  loop->run_for(std::chrono::minutes(50));
  ASSERT_TRUE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  EXPECT_EQ(ports.server.requests, before + 1) << "the end of what was renewed counts from then";
}

TEST_F(VaultTest, ARejectedTokenIsRenewedOnceByWhoeverHeldIt) {
  connect_calendar("alice");
  const RunId of = live("alice", {"calendar"});
  const auto first = run(service->lease(ask(of, "calendar", "calendar.test"), "gateway"));
  const auto second = run(service->lease(ask(of, "calendar", "calendar.test"), "gateway"));
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->renewable);
  const auto again = [&](const LeaseId& rejected) {
    ipc::Lease lease = ask(of, "calendar", "calendar.test");
    lease.rejected = rejected;
    return run(service->lease(lease, "gateway"));
  };
  const int before = ports.server.requests;
  const auto renewed = again(first->lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(renewed->value.open(Purpose::kCompare), "at-1-canary");
  const auto shared = again(second->lease);
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->value.open(Purpose::kCompare), "at-1-canary");
  EXPECT_EQ(ports.server.requests, before + 1) << "what the other renewed serves both";
  const auto hasty = again(renewed->lease);
  ASSERT_FALSE(hasty);
  EXPECT_EQ(hasty.error(), Error::kTooMany) << "a 401 cannot make it renew in a loop";
  EXPECT_TRUE(again(LeaseId::fresh())) << "a lease that is not there rejects nothing";
  ASSERT_TRUE(run(service->end_leases({{second->lease}})));
  EXPECT_EQ(ports.server.requests, before + 1);
}

TEST_F(VaultTest, WhatIsRemovedDuringARefreshStaysRemoved) {
  ports.server.life_s = 1;  // due at once
  connect_calendar("alice");
  const RunId of = live("alice", {"calendar"});
  bool refused = false;
  net::Nursery nursery(*loop);
  nursery.spawn([](this auto, Service* to, ipc::Lease lease, bool* out) -> Task<void> {
    *out = !co_await to->lease(std::move(lease), "gateway");
  }(service.get(), ask(of, "calendar", "calendar.test"), &refused));
  ports.delay = 5s;
  loop->run_for(1s);
  ASSERT_TRUE(run(service->remove({"acme", "alice", "calendar"})));
  loop->run_for(10s);
  EXPECT_TRUE(refused);
  EXPECT_TRUE(run(service->list({"acme", ""}))->connections.empty());
}

TEST_F(VaultTest, ARefreshThatWasNotSentIsTriedAgainAndADeadGrantAsksForConsent) {
  ports.server.life_s = 1;
  connect_calendar("alice");
  const RunId of = live("alice", {"calendar"});
  ports.lose_next = true;
  EXPECT_FALSE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  EXPECT_TRUE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  ports.server.dead = true;
  const auto dead = run(service->lease(ask(of, "calendar", "calendar.test"), "gateway"));
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error(), Error::kLeaseRefused);
  EXPECT_FALSE(dead.error().message().contains("canary"));
  EXPECT_EQ(run(service->list({"acme", ""}))->connections[0].state, "reconsent_required");
  const int before = ports.server.requests;
  EXPECT_FALSE(run(service->lease(ask(of, "calendar", "calendar.test"), "gateway")));
  EXPECT_EQ(ports.server.requests, before) << "a dead grant is not tried again";
}

TEST_F(VaultTest, MintsLeavesForPublishedHostsOnly) {
  const RunId of = live("alice", {});
  ipc::Leaf leaf;
  leaf.run = of;
  leaf.host = "calendar.test";
  EXPECT_FALSE(run(service->leaf(leaf)));
  ASSERT_TRUE(run(service->publish(ipc::PublishInterceptable{"acme", {"calendar.test"}})));
  EXPECT_TRUE(run(service->leaf(leaf)));
  leaf.run = RunId::fresh();
  EXPECT_FALSE(run(service->leaf(leaf)));
}

}  // namespace
}  // namespace gatehouse::vault
