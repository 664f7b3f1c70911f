// SPDX-License-Identifier: Apache-2.0
#include "sim/actors.h"

#include <fmt/format.h>
#include <unistd.h>

#include "audit/book.h"
#include "base/check.h"
#include "control/admin.h"
#include "control/attachments.h"
#include "control/control.h"
#include "control/http.h"
#include "control/role_ports.h"
#include "control/vfs.h"
#include "courier/courier.h"
#include "gateway/gate.h"
#include "ipc/supervisor.h"
#include "sim/laptop.h"
#include "vault/role_ports.h"

namespace gatehouse::sim {
namespace {

using Fds = std::vector<net::Descriptor>;

constexpr Nanos kTokenLife = 16s;  // short, so that many end in a story

class AuditActor : public Actor {
 public:
  AuditActor(const Machine& machine, std::unique_ptr<audit::Log> log)
      : Actor(machine.loop), service_(std::move(log)), book_(*role_, service_) {}
  audit::Log* log() override { return &service_.log(); }

 private:
  audit::Service service_;
  audit::Book book_;
};

class VaultActor : public Actor {
 public:
  VaultActor(const Machine& machine, std::unique_ptr<vault::Sealer> sealer,
             std::unique_ptr<vault::Store> store)
      : Actor(machine.loop),
        sealer_(std::move(sealer)),
        store_(std::move(store)),
        ports_(*role_),
        service_(machine.loop, *store_, *sealer_, ports_) {}
  Result<void> open() {
    TRY(service_.open_inbox());
    ports_.serve(service_);
    return {};
  }
  std::size_t held() override { return service_.live_leases(); }

 private:
  std::unique_ptr<vault::Sealer> sealer_;
  std::unique_ptr<vault::Store> store_;
  vault::RolePorts ports_;
  vault::Service service_;
};

class CourierActor : public Actor {
 public:
  CourierActor(const Machine& machine, std::unique_ptr<net::Resolver> resolver)
      : Actor(machine.loop), resolver_(std::move(resolver)), courier_(machine.loop, *resolver_) {
    vault_.on<ipc::Post>(
        [this](ipc::Post request, Fds) { return courier_.post(std::move(request)); });
    control_.on<ipc::PublishEndpoints>([this](ipc::PublishEndpoints request, Fds) {
      return courier_.publish(std::move(request));
    });
    role_->serve("vault", vault_);
    role_->serve("control", control_);
  }

 private:
  std::unique_ptr<net::Resolver> resolver_;
  courier::Courier courier_;
  ipc::Permits vault_;
  ipc::Permits control_;
};

class ControlActor : public Actor {
 public:
  ControlActor(const Machine& machine, std::unique_ptr<control::Vfs> vfs,
               std::unique_ptr<control::StateStore> store, control::RunTokenKeys keys)
      : Actor(machine.loop),
        vfs_(std::move(vfs)),
        store_(std::move(store)),
        ports_(*role_),
        control_(machine.loop, *store_, ports_, machine.boot),
        people_(control_.for_person("uid 0")),
        attachments_(machine.loop, *store_, control_, std::move(keys), place()),
        admin_(machine.loop, *store_, control_, &attachments_),
        http_(
            machine.loop,
            [this](control::ApiRequest request) { return admin_.answer(std::move(request)); },
            geteuid()) {
    control_.let_in(attachments_);
  }
  Result<void> begin(const control::Config& config) {
    TRY(control_.begin(config));
    role_->on_descriptor("admin.sock", [this](net::Descriptor fd) {
      CHECK(http_.open_local(std::move(fd)).has_value());
    });
    role_->serve("sandboxd", control_.for_sandboxd());
    for (const char* peer : {"vault", "courier", "gateway", "audit"}) role_->serve(peer, nothing_);
    for (const char* peer : {"vault", "courier", "gateway", "audit", "sandboxd"}) {
      role_->on_peer(peer, [this](ipc::Channel& arrived) { control_.arrived(arrived.peer()); });
    }
    return {};
  }
  const ipc::Permits* for_people() override { return &people_; }

 private:
  static control::AttachPlace place() {
    const net::TlsIdentity& identity = gateways_identity();
    return {"127.0.0.1:8443", identity.certificate_pem,
            identity.private_key_pem.duplicate(Purpose::kTransport), kTokenLife};
  }

  ipc::Permits nothing_;
  std::unique_ptr<control::Vfs> vfs_;
  std::unique_ptr<control::StateStore> store_;
  control::RolePorts ports_;
  control::Control control_;
  ipc::Permits people_;
  control::Attachments attachments_;
  control::Admin admin_;
  control::HttpFront http_;
};

class GatewayActor : public Actor {
 public:
  GatewayActor(const Machine& machine, std::unique_ptr<net::Resolver> resolver)
      : Actor(machine.loop), resolver_(std::move(resolver)), gate_(*role_, *resolver_) {
    gate_.serve();
  }
  std::size_t held() override { return gate_.connections(); }

 private:
  std::unique_ptr<net::Resolver> resolver_;
  gateway::Gate gate_;
};

// The house of the simulation, as its gatehouse.yaml would say it.
Result<control::Config> configuration() {
  const std::string yaml =
      fmt::format(R"(version: 1
data: /simulated
users: [{{name: alice}}, {{name: bob}}]
services:
  - name: model
    kind: openai
    url: http://model.gatehouse
    upstream: http://127.0.0.1:{}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
    scope: tenant
  - name: calendar
    kind: http
    url: http://calendar.gatehouse
    upstream: http://127.0.0.1:{}
    allow_private: true
    credential:
      kind: oauth
      authorization_endpoint: http://127.0.0.1:{}/authorize
      token_endpoint: http://127.0.0.1:{}/token
      client_id: gatehouse
      scopes: [calendar]
  - name: tools
    kind: mcp
    url: http://tools.gatehouse
    upstream: http://127.0.0.1:{}
    allow_private: true
agents:
  - name: bot
    command: [bot]
    environment:
      MODEL_KEY: "{{{{placeholder:model}}}}"
      CALENDAR_TOKEN: "{{{{placeholder:calendar}}}}"
    rules:
      - {{id: models, service: model, methods: [POST], paths: ["/v1/chat/completions"]}}
      - {{id: calendar, service: calendar, methods: [GET, POST], paths: ["/events/**"]}}
      - {{id: tools, service: tools, tools: [book]}}
)",
                  kModelPort, kCalendarPort, kIssuerPort, kIssuerPort, kToolsPort);
  auto config = control::decode_config(
      yaml, [](const std::string&) -> Result<std::string> { return std::string(); });
  if (config) return *std::move(config);
  return failure(Error::kInvalid, config.error().front().text("simulated"));
}

Result<std::unique_ptr<Actor>> make_vault(const Machine& machine) {
  auto sealer = std::make_unique<vault::Sealer>(Secret(kRootKey));
  auto store = TRY(vault::Store::open(*machine.disk, *sealer));
  auto actor = std::make_unique<VaultActor>(machine, std::move(sealer), std::move(store));
  TRY(actor->open());
  return actor;
}

Result<std::unique_ptr<Actor>> make_control(const Machine& machine) {
  const control::Config config = TRY(configuration());
  auto vfs = std::make_unique<control::Vfs>(*machine.disk);
  auto store = TRY(control::open_sqlite_store("state.db", vfs->name()));
  auto keys = TRY(control::RunTokenKeys::open(*machine.disk, machine.loop.wall()));
  auto actor =
      std::make_unique<ControlActor>(machine, std::move(vfs), std::move(store), std::move(keys));
  TRY(actor->begin(config));
  return actor;
}

}  // namespace

Result<std::unique_ptr<Actor>> make_actor(const std::string& name, const Machine& machine) {
  if (name == "audit") {
    // Small segments, so that a short story fills several.
    auto log = TRY(audit::Log::open(*machine.disk, {.segment_bytes = 1024 * 1024}));
    return std::make_unique<AuditActor>(machine, std::move(log));
  }
  if (name == "vault") return make_vault(machine);
  if (name == "control") return make_control(machine);
  auto resolver = TRY(net::Resolver::make(machine.loop));
  if (name == "courier") return std::make_unique<CourierActor>(machine, std::move(resolver));
  return std::make_unique<GatewayActor>(machine, std::move(resolver));
}

}  // namespace gatehouse::sim
