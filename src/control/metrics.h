// SPDX-License-Identifier: Apache-2.0
// What the roles have counted, as Prometheus' text format (version 0.0.4). Pure. A role gives names
// and numbers, and may be captured: only what the table here knows of that role is shown, so that
// neither text of its own nor more series than the table has can come of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ipc/control_gateway.h"
#include "ipc/supervisor.h"

namespace gatehouse::control {

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

struct Counted {
  std::string role;  // a process: "gateway.1"
  bool answered = false;
  std::string why;  // it did not answer
  std::vector<ipc::Counter> counters;
};

struct Measured {
  std::string version;
  bool has_status = false;  // else the supervisor did not answer
  ipc::Status status;
  std::vector<Counted> roles;
};

[[nodiscard]] std::string exposition(const Measured& measured);

// What keeps the house from doing its work: which role, and why. Empty: it is ready.
struct Missing {
  std::string role;
  std::string why;
};
[[nodiscard]] std::vector<Missing> missing(const Measured& measured);

}  // namespace gatehouse::control
