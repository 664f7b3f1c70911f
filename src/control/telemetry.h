// SPDX-License-Identifier: Apache-2.0
// What leaves the house of what is on record: `otlp` (spans, to a collector) and `access_log` in
// gatehouse.yaml. They are of the house, not of a tenant, and change in the file alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::control {

struct Telemetry {
  std::string url;             // of the collector, for traces; "" for none
  std::string ca_pem;          // trust anchors beside the house's and the system's
  bool allow_private = false;  // the collector may be at a private address
  std::string headers_file;    // absolute; "" for none
  std::vector<std::pair<std::string, std::string>> resource;
  std::string access_log;  // an absolute path, or kStandardError; "" for none

  static constexpr std::string_view kStandardError = "stderr";
  // Whether there is anything for the exporter to do.
  [[nodiscard]] bool is_wanted() const { return !url.empty() || !access_log.empty(); }
  friend bool operator==(const Telemetry&, const Telemetry&) = default;
};

// The lines of the file that `headers_file` names, `NAME: VALUE` each, as they go into a request's
// head, with CRLF; empty where it names none. At most 4096 bytes. It is read as whoever may read
// it, so before root is given up. Errors: kNotFound, kDenied (others may read it), kInvalid; none
// shows what the file holds.
[[nodiscard]] Result<Secret> otlp_headers(const Telemetry& telemetry);

}  // namespace gatehouse::control
