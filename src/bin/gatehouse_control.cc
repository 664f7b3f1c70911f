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
#include "control/attachments.h"
#include "control/bundle.h"
#include "control/exporting.h"
#include "control/front.h"
#include "control/house_secrets.h"
#include "control/http.h"
#include "control/monitor.h"
#include "control/role_ports.h"
#include "control/vfs.h"
#include "net/file.h"

namespace gatehouse::bin {
namespace {

std::uint32_t number_in(std::string_view text) {
  std::uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void report(const control::Applied& applied) {
  for (const std::string& item : applied.added) log_info("from the file, new", {{"what", item}});
  for (const std::string& item : applied.changed)
    log_info("from the file, changed", {{"what", item}});
  for (const std::string& item : applied.removed) log_info("gone from the file", {{"what", item}});
}

// The file, and what only root may be able to read.
Result<std::pair<control::Config, control::HouseSecrets>> load(const std::string& path) {
  control::Config config = TRY(control::load_config(path));
  control::HouseSecrets secrets = TRY(control::read_house_secrets(config));
  return std::pair(std::move(config), std::move(secrets));
}

// What is in force of the ports' TLS.
struct PortsTls {
  std::shared_ptr<net::TlsServer> server;  // of the admin port, null without TLS
  control::HouseSecrets pairs;
  std::string admin_at;  // where the admin port is
  control::HttpFront* front = nullptr;
  control::HttpFront* metrics_at_port = nullptr;
  control::Attachments* attachments = nullptr;  // null where no agents outside are let in
};

// One that is over does not keep the house from starting: kills and agents need no admin port, and
// those in sandboxes no other.
Result<void> take_pairs(PortsTls& tls, const control::Config& config,
                        control::HouseSecrets secrets) {
  tls.server = TRY(control::admin_tls(config.admin, secrets));
  for (const auto& valid :
       {control::check_admin_time(config.admin, secrets, WallTime::now()),
        control::check_attach_pair(config.attach, secrets, WallTime::now()),
        control::check_client_identities(secrets.client_identities, WallTime::now())}) {
    if (!valid) log_warning("a certificate is not good now", {{"why", valid.error().message()}});
  }
  tls.pairs = std::move(secrets);
  tls.admin_at = config.admin.at;
  return {};
}

// Lets agents outside of sandboxes in, if the config says where; else null.
Result<std::unique_ptr<control::Attachments>> let_in(PortsTls& tls,
                                                     const control::AttachListen& attach,
                                                     net::Loop& loop, control::StateStore& store,
                                                     control::Control& control,
                                                     net::FileSystem& files) {
  if (attach.at.empty()) return std::unique_ptr<control::Attachments>();
  control::AttachPlace place;
  place.address = attach.advertised;
  place.certificate_pem = tls.pairs.attach_certificate;
  place.private_key_pem = tls.pairs.attach_key.duplicate(Purpose::kTransport);
  place.token_life = std::chrono::seconds(attach.token_life_s);
  auto keys = TRY(control::RunTokenKeys::open(files, loop.wall()));
  auto attachments = std::make_unique<control::Attachments>(loop, store, control, std::move(keys),
                                                            std::move(place));
  tls.attachments = attachments.get();
  control.let_in(*attachments);
  return attachments;
}

// All of it is looked at before any of it is in force.
net::Task<Result<ipc::ConfigApplied>> reload(control::Control* control, PortsTls* tls,
                                             control::Exporting* exporting, std::string by,
                                             std::vector<net::Descriptor> given) {
  if (given.size() != 2) co_return failure(Error::kInvalid, "a config comes with two descriptors");
  control::Config config = CO_TRY(control::config_of_bundle(given[0]));
  control::HouseSecrets secrets = CO_TRY(control::secrets_of_memory(given[1]));
  std::shared_ptr<net::TlsServer> fresh;
  const bool is_new = secrets.admin_certificate != tls->pairs.admin_certificate
                      || !(secrets.admin_key == tls->pairs.admin_key);
  if (is_new && !config.admin.certificate.empty()) {
    fresh = CO_TRY(control::admin_tls(config.admin, secrets));
    CO_TRY(control::check_admin_time(config.admin, secrets, WallTime::now()));
  }
  CO_TRY(control::check_client_identities(secrets.client_identities, WallTime::now()));
  control::Exporting::Wish wish = control::Exporting::wish_of(config, secrets);
  control::Control::Settings settings{std::move(secrets.proxy_authorization),
                                      std::move(secrets.client_identities),
                                      exporting->changed(wish), [] {}};
  if (is_new) settings.changed.emplace_back("admin.tls_certificate");
  const bool is_other_pair = tls->attachments != nullptr && !config.attach.certificate.empty()
                             && (secrets.attach_certificate != tls->pairs.attach_certificate
                                 || !(secrets.attach_key == tls->pairs.attach_key));
  if (is_other_pair) {
    CO_TRY(control::check_attach_pair(config.attach, secrets, WallTime::now()));
    settings.changed.emplace_back("attach.tls_certificate");
  }
  const std::string advertised = config.attach.at.empty() ? "" : config.attach.advertised;
  const bool is_other_place = tls->attachments != nullptr && !advertised.empty()
                              && advertised != tls->attachments->place().address;
  if (is_other_place) settings.changed.emplace_back("attach.advertise");
  const bool has_metrics = !config.metrics_listen.empty();
  const std::string admin_at = config.admin.at;
  settings.put_in_force = [&] {
    exporting->use(std::move(wish));
    if (is_other_pair) {
      tls->attachments->use(secrets.attach_certificate,
                            secrets.attach_key.duplicate(Purpose::kTransport));
      tls->pairs.attach_certificate = std::move(secrets.attach_certificate);
      tls->pairs.attach_key = std::move(secrets.attach_key);
    }
    if (is_other_place) tls->attachments->advertise(advertised);
    if (!has_metrics) tls->metrics_at_port->close_local();
    if (admin_at.empty()) tls->front->close_tcp();
    // A listener elsewhere comes from the supervisor next; until then the one before is as it was.
    const bool is_elsewhere = std::exchange(tls->admin_at, admin_at) != admin_at;
    if (!is_new) return;
    tls->server = std::move(fresh);
    tls->pairs.admin_certificate = std::move(secrets.admin_certificate);
    tls->pairs.admin_key = std::move(secrets.admin_key);
    if (!is_elsewhere) tls->front->use_tls(tls->server);
  };
  co_return co_await control->reload(std::move(config), std::move(settings), std::move(by));
}

// A listener of that name, which the supervisor gives.
template <class Open>
void open_at(ipc::Role& role, const char* name, Open open) {
  role.on_descriptor(name, [name, open](net::Descriptor fd) {
    if (const Result<void> opened = open(std::move(fd)); !opened) {
      log_error("a listener", {{"name", name}, {"why", opened.error().message()}});
    }
  });
}

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("control", argc, argv);
  auto loaded = load(std::string(flag_of(argc, argv, "--config")));
  if (!loaded) {
    log_error("the configuration is refused whole", {{"why", loaded.error().message()}});
    return 78;
  }
  const control::Config& config = loaded->first;
  PortsTls tls;
  if (const auto taken = take_pairs(tls, config, std::move(loaded->second)); !taken) {
    log_error("the admin API's certificate", {{"why", taken.error().message()}});
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
  control::Exporting exporting(*loop, ports);
  exporting.use(control::Exporting::wish_of(config, tls.pairs));
  role.on_peer("exporter", [&exporting](ipc::Channel&) { exporting.arrived(); });
  control.use_network(config.network.spec, std::move(tls.pairs.proxy_authorization));
  control.use_prices(config.prices);
  control.use_client_identities(std::move(tls.pairs.client_identities));
  const auto attachments = let_in(tls, config.attach, *loop, **store, control, **files);
  if (!attachments) {
    log_error("the keys of run tokens", {{"why", attachments.error().message()}});
    return 74;
  }
  const auto applied = control.begin(config);
  if (!applied) {
    log_error("the configuration cannot be applied", {{"why", applied.error().message()}});
    return 78;
  }
  report(*applied);
  const std::uint32_t owner = number_in(flag_of(argc, argv, "--owner"));
  // In a user namespace of its owner's, who is root there is known outside by another number.
  const std::string outside(flag_of(argc, argv, "--owner-outside"));
  role.from_supervisor().on<ipc::ApplyConfig>(
      [&](ipc::ApplyConfig request, std::vector<net::Descriptor> given) {
        return reload(&control, &tls, &exporting, std::move(request.by), std::move(given));
      });
  const ipc::Permits nothing;
  role.serve("sandboxd", control.for_sandboxd());
  for (const char* peer : {"vault", "courier", "gateway", "audit", "exporter"}) {
    role.serve(peer, nothing);
  }
  for (const char* peer : {"vault", "courier", "gateway", "audit", "sandboxd"}) {
    role.on_peer(peer, [&control](ipc::Channel& arrived) { control.arrived(arrived.peer()); });
  }
  control::Front front(
      *loop,
      [&control, outside](std::uint32_t uid) {
        return control.for_person("uid " + (outside.empty() ? std::to_string(uid) : outside));
      },
      owner);
  open_at(role, "control.sock", [&front](net::Descriptor fd) { return front.open(std::move(fd)); });
  control::Admin admin(*loop, **store, control, attachments->get());
  control::HttpFront http(
      *loop, [&admin](control::ApiRequest request) { return admin.answer(std::move(request)); },
      owner);
  tls.front = &http;
  open_at(role, "admin.sock",
          [&http](net::Descriptor fd) { return http.open_local(std::move(fd)); });
  open_at(role, "admin.tcp",
          [&http, &tls](net::Descriptor fd) { return http.open_tcp(std::move(fd), tls.server); });
  control::Monitor monitor(*loop, ports);
  control::HttpFront metrics(
      *loop, [&monitor](control::ApiRequest r) { return monitor.answer_house(std::move(r)); },
      owner);
  control::HttpFront metrics_at_port(
      *loop, [&monitor](control::ApiRequest r) { return monitor.answer(std::move(r)); }, owner);
  tls.metrics_at_port = &metrics_at_port;
  for (const auto& [name, serving] :
       {std::pair{"metrics.sock", &metrics}, std::pair{"metrics", &metrics_at_port}}) {
    open_at(role, name,
            [serving](net::Descriptor fd) { return serving->open_local(std::move(fd)); });
  }
  ipc::Confinement plan = confinement_of(flags);
  plan.network = ipc::Network::kAccept;
  plan.writable = {"."};
  return live(role, std::move(plan));
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
