// SPDX-License-Identifier: Apache-2.0
// The supervisor: starts each role as its own executable, joins them by socket pairs, starts again
// what ends, and is the only writer of the kill table, so that a kill works with every other role
// dead or captured.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "host/footing.h"
#include "ipc/channel.h"
#include "ipc/kill_table.h"
#include "ipc/sandbox.h"
#include "ipc/supervisor.h"
#include "net/stream.h"
#include "supervisor/kill_file.h"
#include "supervisor/spawn.h"

namespace gatehouse::supervisor {

struct RoleSpec {
  std::string name;        // "vault"
  std::string executable;  // absolute path
  std::vector<std::string> arguments;
  std::vector<std::string> peers;  // roles it is joined to; each pair is named once
  View view;
};

// ADDRESS:PORT of what roles serve beside the run directory's sockets; "" for none.
struct PortAddresses {
  std::string metrics;  // control's: metrics and health
  std::string admin;    // control's admin API
  std::string attach;   // every gateway's, for agents outside of sandboxes
};

// The config, read again.
struct ConfigRead {
  net::Descriptor memory;        // as control takes it
  net::Descriptor secrets;       // of the files that only root may be able to read
  LogForm log = LogForm::kText;  // that the house's log has from now on
  PortAddresses ports;
  std::string access_log;               // as Settings has it
  std::vector<std::string> at_restart;  // settings that are another at the next start only
};

struct Settings {
  host::Footing footing;
  std::string data;           // the data directory, for what roles are asked to try
  std::string run_directory;  // supervisor.sock, control.sock and the kill file
  std::vector<RoleSpec> roles;
  std::uint32_t owner_uid = 0;  // beside root, who may kill and revive
  LogForm log = LogForm::kText;
  PortAddresses ports;
  std::string access_log;  // the path of a file, "stderr", or "" for none
  // Errors: everything that is wrong with it.
  std::function<Result<ConfigRead>()> read_config;
};

class Supervisor {
 public:
  // Reads the kill file and publishes the table. A kill file that cannot be read kills everything,
  // loudly.
  [[nodiscard]] static Result<std::unique_ptr<Supervisor>> make(net::Loop& loop, Settings settings);
  ~Supervisor();

  // Starts everything and runs until SIGINT or SIGTERM, then ends the roles. Errors: a socket that
  // cannot be opened.
  [[nodiscard]] Result<void> run();

 private:
  class Impl;
  explicit Supervisor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::supervisor
