// SPDX-License-Identifier: Apache-2.0
// The control role: what is in force, and people's way to it.
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "audit/breach.h"
#include "base/log.h"
#include "bin/role_main.h"
#include "control/admin.h"
#include "control/bundle.h"
#include "control/front.h"
#include "control/house_secrets.h"
#include "control/http.h"
#include "control/monitor.h"
#include "control/role_ports.h"
#include "control/vfs.h"
#include "net/file.h"

namespace gatehouse::bin {
namespace {

const char* flag(int argc, char** argv, const char* name) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return "";
}

void report(const control::Applied& applied) {
  for (const std::string& item : applied.added) log_info("from the file, new", {{"what", item}});
  for (const std::string& item : applied.changed)
    log_info("from the file, changed", {{"what", item}});
  for (const std::string& item : applied.removed) log_info("gone from the file", {{"what", item}});
}

// The file, and what only root may be able to read.
Result<std::pair<control::Config, control::HouseSecrets>> load(const char* path) {
  control::Config config = TRY(control::load_config(path));
  control::HouseSecrets secrets = TRY(control::read_house_secrets(config));
  return std::pair(std::move(config), std::move(secrets));
}

// What is in force of the admin port's TLS.
struct AdminTls {
  std::shared_ptr<net::TlsServer> server;  // null without TLS
  control::HouseSecrets pair;
  control::HttpFront* front = nullptr;
};

// One that is over does not keep the house from starting: kills and agents need no admin port.
Result<AdminTls> tls_of(const control::Config& config, control::HouseSecrets secrets) {
  std::shared_ptr<net::TlsServer> server = TRY(control::admin_tls(config.admin, secrets));
  const auto valid = control::check_admin_time(config.admin, secrets, WallTime::now());
  if (!valid) {
    log_warning("the admin API's certificate is not good now", {{"why", valid.error().message()}});
  }
  return AdminTls{std::move(server), std::move(secrets), nullptr};
}

// All of it is looked at before any of it is in force.
net::Task<Result<ipc::ConfigApplied>> reload(control::Control* control, AdminTls* tls,
                                             std::string by, std::vector<net::Descriptor> given) {
  if (given.size() != 2) co_return failure(Error::kInvalid, "a config comes with two descriptors");
  control::Config config = CO_TRY(control::config_of_bundle(given[0]));
  control::HouseSecrets secrets = CO_TRY(control::secrets_of_memory(given[1]));
  std::shared_ptr<net::TlsServer> fresh;
  const bool is_new = secrets.admin_certificate != tls->pair.admin_certificate
                      || !(secrets.admin_key == tls->pair.admin_key);
  if (is_new && !config.admin.certificate.empty()) {
    fresh = CO_TRY(control::admin_tls(config.admin, secrets));
    CO_TRY(control::check_admin_time(config.admin, secrets, WallTime::now()));
  }
  control::Control::Settings settings{std::move(secrets.proxy_authorization), {}, [] {}};
  // Whether there is TLS at all belongs to the listener, which is of the start.
  if (fresh != nullptr && tls->server != nullptr) {
    settings.changed.emplace_back("admin.tls_certificate");
    settings.put_in_force = [&] {
      tls->server = std::move(fresh);
      tls->pair = std::move(secrets);
      if (tls->front != nullptr) tls->front->use_tls(tls->server);
    };
  }
  co_return co_await control->reload(std::move(config), std::move(settings), std::move(by));
}

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("control", argc, argv);
  auto loaded = load(flag(argc, argv, "--config"));
  if (!loaded) {
    log_error("the configuration is refused whole", {{"why", loaded.error().message()}});
    return 78;
  }
  const control::Config& config = loaded->first;
  auto tls = tls_of(config, std::move(loaded->second));
  if (!tls) {
    log_error("the admin API's certificate", {{"why", tls.error().message()}});
    return 78;
  }
  settle_role(flags, "state");
  auto files = net::open_file_system(".");
  if (!files) {
    log_error("the state directory", {{"why", files.error().message()}});
    return 74;
  }
  const control::Vfs vfs(**files);
  auto store = control::open_sqlite_store("state.db", vfs.name());
  if (!store) {
    log_error("the state store", {{"why", store.error().message()}});
    return 74;
  }
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  const audit::Breaches breaches(role, "control");
  control::RolePorts ports(role);
  control::Control control(*loop, **store, ports, boot);
  control.use_network(config.network.spec, std::move(tls->pair.proxy_authorization));
  const auto applied = control.begin(config);
  if (!applied) {
    log_error("the configuration cannot be applied", {{"why", applied.error().message()}});
    return 78;
  }
  report(*applied);
  std::uint32_t owner = 0;
  const std::string_view owner_text = flag(argc, argv, "--owner");
  std::from_chars(owner_text.data(), owner_text.data() + owner_text.size(), owner);
  role.from_supervisor().on<ipc::ApplyConfig>(
      [&control, &tls](ipc::ApplyConfig request, std::vector<net::Descriptor> given) {
        return reload(&control, &*tls, std::move(request.by), std::move(given));
      });
  const ipc::Permits nothing;
  role.serve("sandboxd", control.for_sandboxd());
  for (const char* peer : {"vault", "courier", "gateway", "audit"}) role.serve(peer, nothing);
  for (const char* peer : {"vault", "courier", "gateway", "audit", "sandboxd"}) {
    role.on_peer(peer, [&control](ipc::Channel& arrived) { control.arrived(arrived.peer()); });
  }
  control::Front front(
      *loop,
      [&control](std::uint32_t uid) { return control.for_person("uid " + std::to_string(uid)); },
      owner);
  role.on_descriptor("control.sock", [&front](net::Descriptor fd) {
    if (const Result<void> opened = front.open(std::move(fd)); !opened) {
      log_error("control's socket", {{"why", opened.error().message()}});
    }
  });
  control::Admin admin(*loop, **store, control);
  control::HttpFront http(
      *loop, [&admin](control::ApiRequest request) { return admin.answer(std::move(request)); },
      owner);
  tls->front = &http;
  role.on_descriptor("admin.sock", [&http](net::Descriptor fd) {
    if (const Result<void> opened = http.open_local(std::move(fd)); !opened) {
      log_error("the admin API's socket", {{"why", opened.error().message()}});
    }
  });
  role.on_descriptor("admin.tcp", [&http, &tls](net::Descriptor fd) {
    if (const Result<void> opened = http.open_tcp(std::move(fd), tls->server); !opened) {
      log_error("the admin API's port", {{"why", opened.error().message()}});
    }
  });
  control::Monitor monitor(*loop, ports);
  control::HttpFront metrics(
      *loop, [&monitor](control::ApiRequest r) { return monitor.answer_house(std::move(r)); },
      owner);
  control::HttpFront metrics_at_port(
      *loop, [&monitor](control::ApiRequest r) { return monitor.answer(std::move(r)); }, owner);
  for (const auto& [name, serving] :
       {std::pair{"metrics.sock", &metrics}, std::pair{"metrics", &metrics_at_port}}) {
    role.on_descriptor(name, [serving](net::Descriptor fd) {
      if (const Result<void> opened = serving->open_local(std::move(fd)); !opened) {
        log_error("the listener for metrics", {{"why", opened.error().message()}});
      }
    });
  }
  ipc::Confinement plan;
  plan.uid = flags.uid;
  plan.network = ipc::Network::kAccept;
  plan.writable = {"."};
  return live(role, std::move(plan));
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
