// SPDX-License-Identifier: Apache-2.0
// gatehouse.yaml, read strictly: a key that is not known, a value of another type, a name that
// nothing has are errors with file, line and column; all are reported at once, and nothing is
// applied if there is any. docs/configuration.md describes the file for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/objects.h"
#include "control/telemetry.h"
#include "control/yaml.h"
#include "ipc/network.h"
#include "ipc/snapshot.h"

namespace gatehouse::control {

inline constexpr std::size_t kConfigMost = 1024 * 1024;  // bytes

enum class LogFormat : std::uint8_t { kText, kJson };

// How the house reaches the world.
struct Network {
  ipc::NetworkSpec spec;
  std::string credentials_file;  // absolute, "" for none
};

// Where the admin API is served beside its socket; the files are absolute paths, read by the
// control role alone.
struct AdminListen {
  std::string at;           // ADDRESS:PORT, "" for nowhere
  std::string certificate;  // a chain, PEM; "" without TLS, on loopback only
  std::string key;
  friend bool operator==(const AdminListen&, const AdminListen&) = default;
};

// Where agents outside of sandboxes come in, by TLS. The files are absolute paths, read by the
// control role alone.
struct AttachListen {
  std::string at;           // ADDRESS:PORT, "" for nowhere
  std::string certificate;  // a chain, PEM
  std::string key;
  std::string advertised;  // HOST:PORT that clients dial, which the certificate names
  std::uint32_t token_life_s = kTokenLifeUsual_s;
  friend bool operator==(const AttachListen&, const AttachListen&) = default;

  static constexpr std::uint32_t kTokenLifeUsual_s = 600;
  static constexpr std::uint32_t kTokenLifeLeast_s = 3;
  static constexpr std::uint32_t kTokenLifeMost_s = 3600;
};

// What the house may go without on a host that does not give it.
struct HostLacks {
  bool limits_best_effort = false;
  bool no_landlock = false;
  friend bool operator==(const HostLacks&, const HostLacks&) = default;
};

struct Config {
  Network network;
  std::vector<ipc::PriceSpec> prices;  // the operator's
  std::string data;                    // the data directory, absolute
  std::optional<LogFormat> log_format;
  std::string metrics_listen;  // ADDRESS:PORT, loopback; "" for none
  AdminListen admin;
  AttachListen attach;
  Telemetry telemetry;
  HostLacks host;
  std::vector<Tenant> tenants;
  std::vector<User> users;
  std::vector<Service> services;
  std::vector<Agent> agents;
  std::vector<Rule> rules;  // in the order of the file
  std::vector<Issuer> issuers;
  std::vector<Group> groups;
  std::vector<Account> accounts;
  std::vector<Binding> bindings;

  // Everything in an order in which each object follows what it names.
  [[nodiscard]] std::vector<Object> objects() const;
  void add(const Object& object);
  // The one of that kind that was added last; there must be one.
  [[nodiscard]] Object last(Kind kind) const;
};

// Reads a file that the config names (a CA certificate), relative to the config's directory.
using ReadNamed = std::function<Result<std::string>(const std::string& path)>;

[[nodiscard]] std::expected<Config, Problems> decode_config(std::string_view yaml,
                                                            const ReadNamed& read);

// Reads and decodes the file. Errors: that it cannot be read; what is wrong with it is the value.
[[nodiscard]] Result<std::expected<Config, Problems>> check_config(const std::string& path);

// What a config that was decoded says of the admin port's files, which it may name beside itself at
// `path`, as absolute paths.
void place_house_files(Config& config, const std::string& path);

// All that is wrong with it, a line each, as an error.
[[nodiscard]] Failure refusal_of(const Problems& problems, const std::string& path);

// A text file of the config's, or one that it names. Errors: that it cannot be read; kTooLarge.
[[nodiscard]] Result<std::string> read_whole(const std::string& path);
// Reads what the config at `path` names.
[[nodiscard]] ReadNamed reader_beside(const std::string& path);

// The same in one. Errors: kNotFound; kInvalid with all problems, a line each.
[[nodiscard]] Result<Config> load_config(const std::string& path);

// The JSON Schema (2020-12) of the file: docs/gatehouse.schema.json. What it accepts may still be
// refused for its meaning (names that nothing has, what is there twice); what it refuses, is.
[[nodiscard]] std::string_view config_schema();

// The commented file that `gatehouse init` writes; it is valid as it is.
// `admin` is its first user, with the role owner. Errors: kInvalid when nobody can be called that.
[[nodiscard]] Result<std::string> example_config(std::string_view data_directory,
                                                 std::string_view admin);

}  // namespace gatehouse::control
