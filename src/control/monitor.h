// SPDX-License-Identifier: Apache-2.0
// What looks after the house asks: /healthz (control lives), /readyz (every role does its work; if
// not, which and why) and /metrics. Reads only, and tells numbers and the names of roles: no name
// of a person's, a service's or an agent's.
#pragma once

#include <string>

#include "control/api.h"
#include "control/control.h"
#include "control/metrics.h"

namespace gatehouse::control {

class Monitor {
 public:
  // Both must outlive it.
  Monitor(net::Loop& loop, Ports& ports) : loop_(loop), ports_(ports) {}

  // Of whoever reaches the port. A request for another host than this machine by a name of its own
  // is refused: a page in a browser must not read through a name that it has pointed here.
  [[nodiscard]] net::Task<ApiAnswer> answer(ApiRequest request);
  // At the unix socket: root and the owner of the data.
  [[nodiscard]] net::Task<ApiAnswer> answer_house(ApiRequest request);

 private:
  net::Task<ApiAnswer> answer_any(ApiRequest request);
  net::Task<Measured> measure();
  net::Task<Counted> ask(std::string role);

  net::Loop& loop_;
  Ports& ports_;
};

}  // namespace gatehouse::control
