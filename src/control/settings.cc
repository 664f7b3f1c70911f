// SPDX-License-Identifier: Apache-2.0
#include "control/settings.h"

#include <fmt/format.h>

#include "control/network.h"
#include "control/prices.h"
#include "control/telemetry_decoding.h"
#include "control/values.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

void decode_log(Section& file, Problems& problems, Config& config) {
  const Yaml* node = file.value("log");
  if (node == nullptr) return;
  Section section(*node, "log", problems);
  const auto format =
      static_cast<LogFormat>(section.word("format", {"text", "json"}, Need::kOptional));
  if (section.value("format") != nullptr) config.log_format = format;
  section.finish();
}

// Whoever reaches the port may read: it is loopback's, and a proxy's to open further.
void decode_metrics(Section& file, Problems& problems, Config& config) {
  const Yaml* node = file.value("metrics");
  if (node == nullptr) return;
  Section section(*node, "metrics", problems);
  if (const auto listen = section.string("listen", Need::kRequired)) {
    const auto at = wire::Authority::parse(*listen);
    if (!at || !at->port || !at->host.ip()
        || wire::address_class(*at->host.ip()) != wire::AddressClass::kLoopback) {
      section.problem("listen",
                      "listen must be a loopback address and a port: 127.0.0.1:9464 or "
                      "[::1]:9464");
    } else {
      config.metrics_listen = at->text();
    }
  }
  section.finish();
}

// Sessions travel here, so what is not loopback is TLS.
void decode_admin(Section& file, Problems& problems, Config& config) {
  const Yaml* node = file.value("admin");
  if (node == nullptr) return;
  Section section(*node, "admin", problems);
  config.admin.certificate = file_name(section, "tls_certificate");
  config.admin.key = file_name(section, "tls_key");
  const bool is_tls = !config.admin.certificate.empty();
  if ((section.value("tls_certificate") != nullptr) != (section.value("tls_key") != nullptr)) {
    section.problem("tls_key", "tls_certificate and tls_key go together",
                    ProblemKind::kWrongTogether);
  }
  if (const auto listen = section.string("listen", Need::kRequired)) {
    const auto at = wire::Authority::parse(*listen);
    if (!at || !at->port || !at->host.ip()) {
      section.problem("listen",
                      "listen must be an address and a port: 127.0.0.1:7443 or [::]:7443");
    } else if (!is_tls && wire::address_class(*at->host.ip()) != wire::AddressClass::kLoopback) {
      section.problem("listen",
                      "without tls_certificate and tls_key it can be a loopback address only",
                      ProblemKind::kWrongTogether);
    } else {
      config.admin.at = at->text();
    }
  }
  section.finish();
}

// Run tokens travel here, so it is TLS wherever it is.
void decode_attach(Section& file, Problems& problems, Config& config) {
  const Yaml* node = file.value("attach");
  if (node == nullptr) return;
  Section section(*node, "attach", problems);
  AttachListen attach;
  const auto listen = section.string("listen", Need::kRequired);
  (void)section.string("tls_certificate", Need::kRequired);
  (void)section.string("tls_key", Need::kRequired);
  attach.certificate = file_name(section, "tls_certificate");
  attach.key = file_name(section, "tls_key");
  const auto at = wire::Authority::parse(listen.value_or(""));
  if (listen && (!at || !at->port || !at->host.ip())) {
    section.problem("listen", "listen must be an address and a port: 192.0.2.7:8443 or [::]:8443");
  } else if (listen) {
    attach.at = at->text();
    attach.advertised = at->text();
  }
  if (const auto name = section.string("advertise", Need::kOptional)) {
    const auto dialled = wire::Authority::parse(*name);
    if (!dialled || !dialled->port) {
      section.problem("advertise",
                      "advertise must be a name or an address, and a port: gate.example.com:8443");
    } else {
      attach.advertised = dialled->text();
    }
  } else if (at && at->host.ip()
             && wire::address_class(*at->host.ip()) == wire::AddressClass::kUnspecified) {
    section.problem("listen",
                    "an address that stands for all needs `advertise`: the HOST:PORT that clients "
                    "dial and the certificate names",
                    ProblemKind::kWrongTogether);
  }
  attach.token_life_s = static_cast<std::uint32_t>(section.number_or(
      "token_seconds", AttachListen::kTokenLifeUsual_s, AttachListen::kTokenLifeMost_s));
  if (attach.token_life_s < AttachListen::kTokenLifeLeast_s) {
    section.problem("token_seconds",
                    fmt::format("token_seconds is at least {}", AttachListen::kTokenLifeLeast_s));
  }
  section.finish();
  config.attach = std::move(attach);
}

void decode_host(Section& file, Problems& problems, Config& config) {
  const Yaml* node = file.value("host");
  if (node == nullptr) return;
  Section section(*node, "host", problems);
  config.host.limits_best_effort =
      section.word("limits", {"enforced", "best-effort"}, Need::kOptional) == 1;
  config.host.no_landlock =
      section.word("landlock", {"required", "optional"}, Need::kOptional) == 1;
  section.finish();
}

}  // namespace

void decode_settings(Section& file, const ReadNamed& read, Problems& problems, Config& config) {
  config.data = file.string_or("data", "/var/lib/gatehouse");
  if (!config.data.starts_with('/') || !is_clean_path(config.data)) {
    file.problem("data", "data must be an absolute path without . and ..");
  }
  decode_log(file, problems, config);
  decode_metrics(file, problems, config);
  config.network = decode_network(file, read, problems);
  config.prices = decode_prices(file, problems);
  decode_admin(file, problems, config);
  decode_attach(file, problems, config);
  config.telemetry = decode_telemetry(file, read, problems);
  decode_host(file, problems, config);
}

}  // namespace gatehouse::control
