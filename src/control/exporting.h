// SPDX-License-Identifier: Apache-2.0
// Control's side of the exporter: tells it what is in force, each time that it comes and that the
// file changes. Of its Loop's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/control.h"
#include "control/house_secrets.h"
#include "ipc/control_exporter.h"
#include "net/nursery.h"

namespace gatehouse::control {

class Exporting {
 public:
  // Both must outlive it.
  Exporting(net::Loop& loop, Ports& ports) : loop_(loop), ports_(ports), tasks_(loop) {}

  // What a file says of it, before it is in force.
  struct Wish {
    Telemetry telemetry;
    Secret headers;
    ipc::NetworkSpec network;
    Secret proxy_authorization;
  };
  [[nodiscard]] static Wish wish_of(const Config& config, const HouseSecrets& secrets);
  // The keys of the file that are others than those in force; none in a house that was started
  // without an exporter, where they are of the next start.
  [[nodiscard]] std::vector<std::string> changed(const Wish& wish) const;
  // From now on; the exporter is told, if there is one.
  void use(Wish wish);
  // It has come.
  void arrived();

 private:
  net::Task<void> tell();
  [[nodiscard]] ipc::UseTelemetry message() const;

  net::Loop& loop_;
  Ports& ports_;
  Wish wish_;
  std::optional<bool> has_exporter_;  // as the first wish says
  net::Nursery tasks_;
};

}  // namespace gatehouse::control
