// SPDX-License-Identifier: Apache-2.0
#include "control/exporting.h"

#include "base/log.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kAnswerMost = std::chrono::seconds(5);
constexpr Nanos kTellAgain = std::chrono::seconds(1);

}  // namespace

Exporting::Wish Exporting::wish_of(const Config& config, const HouseSecrets& secrets) {
  return {config.telemetry, secrets.otlp_headers.duplicate(Purpose::kTransport),
          config.network.spec, secrets.proxy_authorization.duplicate(Purpose::kTransport)};
}

std::vector<std::string> Exporting::changed(const Wish& wish) const {
  std::vector<std::string> keys;
  if (!has_exporter_.value_or(false)) return keys;
  Telemetry before = wish_.telemetry;
  before.access_log = wish.telemetry.access_log;
  if (before != wish.telemetry || !(wish_.headers == wish.headers)) keys.emplace_back("otlp");
  if (wish_.telemetry.access_log != wish.telemetry.access_log) keys.emplace_back("access_log");
  return keys;
}

void Exporting::use(Wish wish) {
  if (!has_exporter_) has_exporter_ = wish.telemetry.is_wanted();
  wish_ = std::move(wish);
  arrived();
}

void Exporting::arrived() {
  tasks_.cancel_all();  // who is being told hears the newest only
  if (!ports_.present("exporter").empty()) tasks_.spawn(tell());
}

ipc::UseTelemetry Exporting::message() const {
  ipc::UseTelemetry out;
  out.url = wish_.telemetry.url;
  out.ca_pem = wish_.telemetry.ca_pem;
  out.allow_private = wish_.telemetry.allow_private;
  out.headers = wish_.headers.duplicate(Purpose::kTransport);
  for (const auto& [key, value] : wish_.telemetry.resource) out.resource.push_back({key, value});
  out.writes_access_log = !wish_.telemetry.access_log.empty();
  out.network = wish_.network;
  out.proxy_authorization = wish_.proxy_authorization.duplicate(Purpose::kTransport);
  return out;
}

// Until it has heard, or is away: then it is told when it comes.
Task<void> Exporting::tell() {
  while (!ports_.present("exporter").empty()) {
    ipc::UseTelemetry telemetry = message();
    const auto told =
        co_await ports_.ask("exporter", ipc::parcel_of(telemetry), loop_.in(kAnswerMost));
    if (told) co_return;
    log_error("the exporter could not be told what is in force", {{"why", told.error().message()}});
    co_await loop_.sleep_for(kTellAgain);
  }
}

}  // namespace gatehouse::control
