// SPDX-License-Identifier: Apache-2.0
// One function a verb, each with the options that it was given. They print, and return the exit
// status or what went wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cli.h"
#include "cli/output.h"

namespace gatehouse::cli {

struct Options {
  Form form = Form::kTable;
  std::string data;    // --data, "" if not given
  std::string config;  // --config
  std::string server;  // https://HOST:PORT of an admin API elsewhere; "": the house on this host
  std::string server_ca;
  std::string tenant;
  std::string user;
  std::string agent;
  std::vector<std::string> environment;
  std::vector<std::string> command;
  bool no_pty = false;
  std::string service;
  std::string from_file;
  std::string from_env;
  std::string client_secret_file;
  bool remove = false;
  std::string run;  // or all
  bool all = false;
  bool destroy = false;
  std::string reason;
  std::string kind;
  std::string name;                   // of an object
  std::vector<std::string> settings;  // KEY=VALUE of its spec
  std::string role;                   // of a binding, and to whom
  std::string group;
  std::string account;
  std::string issuer;      // to sign in at
  std::string token_file;  // a service account's token
  bool device = false;
  std::uint32_t most = 100;
  bool full = false;
  std::string directory;
  std::string admin = "alice";  // the first user, an owner
  std::vector<std::string> files;
  std::string log;
  std::string limits;        // "enforced", "best-effort", or "" for what the config says
  bool no_landlock = false;  // conceded
  std::string file;          // a backup
  std::string key;           // file of the vault's root key
  bool with_key = false;
  bool force = false;
  bool only_check = false;
  bool dry_run = false;  // of an adoption
  bool create = false;
  bool replace = false;
  bool undo = false;
  bool forget = false;
  std::string output;
};

// Where things lie: flags before $GATEHOUSE_DATA before the first config file that exists
// (./gatehouse.yaml, $XDG_CONFIG_HOME/gatehouse/, /etc/gatehouse/).
[[nodiscard]] Result<std::string> config_path(const Options& options);
[[nodiscard]] Result<std::string> data_directory(const Options& options, const Wiring& wiring);

[[nodiscard]] Result<int> init(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> up(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> check_config(const Options& options, const Wiring& wiring);
// The text that Prometheus reads, of the house that runs on this data.
[[nodiscard]] Result<std::string> fetch_metrics(const std::string& data);
[[nodiscard]] Result<int> print_metrics(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> print_schema(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> start_run(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> attach(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> kill(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> revive(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> make_backup(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> restore_backup(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> check_upgrade(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> reload(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> status(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> doctor(const Options& options, const Wiring& wiring);
// What `doctor` finds, as JSON, of the house that runs on this data.
[[nodiscard]] Result<std::string> diagnosis(const std::string& data);
[[nodiscard]] Result<int> support_bundle(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> connect(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> adopt_keys(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> list_connections(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> list_runs(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> list_objects(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> login(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> logout(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> who_am_i(const Options& options, const Wiring& wiring);
// Of the objects of `kind`, by the admin API.
[[nodiscard]] Result<int> create_object(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> list_kind(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> show_kind(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> set_object(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> remove_object(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> end_sessions(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> transcript(const Options& options, const Wiring& wiring);
[[nodiscard]] Result<int> verify_audit(const Options& options, const Wiring& wiring);

}  // namespace gatehouse::cli
