// SPDX-License-Identifier: Apache-2.0
// The admin API with everything behind it but the other roles, which are played. For tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/admin.h"
#include "control/vfs.h"
#include "ipc/control_courier.h"
#include "ipc/supervisor.h"
#include "net/sim_file.h"
#include "net/sim_loop.h"
#include "wire/json.h"

namespace gatehouse::control {

// The other roles, as far as the admin API asks them: a log, a supervisor, a gateway.
class FakeHouse : public Ports {
 public:
  net::Task<Result<ipc::Parcel>> ask(std::string role, ipc::Parcel request, Deadline) override {
    if (role == "audit" && !log_is_away) co_return answer_as_audit(request);
    if (role == "supervisor") {
      if (request.type == ipc::Kill::kType)
        kills.push_back(*ipc::decode<ipc::Kill>(request.payload));
      co_return ipc::parcel_of(kill_done);
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
  ipc::KillDone kill_done{1, 1, 0};              // of whatever is killed or revived
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

inline constexpr std::string_view kAdminFile = R"(version: 1
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
    const auto config =
        decode_config(kAdminFile, [](const std::string& path) -> Result<std::string> {
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

}  // namespace gatehouse::control
