// SPDX-License-Identifier: Apache-2.0
// The verbs that list, and those that speak with the supervisor.
#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "cli/client.h"
#include "cli/remote.h"
#include "cli/verbs.h"
#include "ipc/cli_control.h"
#include "ipc/supervisor.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

Result<Client> control_of(const Options& options, const Wiring& wiring) {
  return Client::connect(TRY(data_directory(options, wiring)) + "/run/control.sock");
}
Result<Client> supervisor_of(const Options& options, const Wiring& wiring) {
  return Client::connect(TRY(data_directory(options, wiring)) + "/run/supervisor.sock");
}

// The one Run that was named, or all zero with --all.
Result<RunId> target_of(const Options& options) {
  if (options.all == !options.run.empty()) {
    return failure(Error::kInvalid, "name one run, or say --all");
  }
  if (options.all) return ipc::no_run();
  return RunId::parse(options.run);
}

std::string json_list(const std::vector<std::string>& texts) {
  wire::JsonWriter writer;
  writer.begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
  return std::move(writer).text();
}

std::string without_line_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Result<int> kill(const Options& options, const Wiring& wiring) {
  if (TRY(Api::open_unsigned(options, wiring)).is_elsewhere()) {
    return remote_kill(TRY(Api::open(options, wiring)), options);
  }
  // A kill is not held up by a session that is over or an API that is away: the owner has the
  // supervisor's socket.
  if (const auto api = Api::signed_in(options, wiring); !options.all && api && *api) {
    const Result<int> done = remote_kill(**api, options);
    if (done || done.error() == Error::kDenied) return done;
  }
  const RunId run = TRY(target_of(options));
  Client client = TRY(supervisor_of(options, wiring));
  const ipc::KillDone done =
      TRY(client.call(ipc::Kill{run, options.all, options.destroy, options.reason}));
  const std::string sandboxes = words_on(done.sandboxes, done.ended, options.destroy);
  print(told(options.form,
             fmt::format("killed {}; {}", options.all ? "everything" : run.text(), sandboxes),
             {{"killed", options.all ? "all" : run.text()},
              {"sandboxes", std::uint64_t{done.sandboxes}},
              {"ended", std::uint64_t{done.ended}},
              {"generation", std::uint64_t{done.generation}}}));
  return 0;
}

Result<int> revive(const Options& options, const Wiring& wiring) {
  if (const auto api = TRY(Api::signed_in(options, wiring))) return remote_revive(*api, options);
  const RunId run = TRY(target_of(options));
  Client client = TRY(supervisor_of(options, wiring));
  const ipc::KillDone done = TRY(client.call(ipc::Revive{run, options.all}));
  print(told(options.form, fmt::format("revived {}", options.all ? "everything" : run.text()),
             {{"revived", options.all ? "all" : run.text()},
              {"generation", std::uint64_t{done.generation}}}));
  return 0;
}

namespace {

// None while control or the gateway is away: the roles' states say so.
ipc::CounterList counters_of(const Options& options, const Wiring& wiring) {
  Result<Client> client = control_of(options, wiring);
  if (!client) return {};
  return client->call(ipc::GetCounters{}).value_or(ipc::CounterList());
}

}  // namespace

Result<int> reload(const Options& options, const Wiring& wiring) {
  Client client = TRY(supervisor_of(options, wiring));
  const ipc::ConfigApplied applied = TRY(client.call(ipc::Reload{}));
  Table changes({"change", "what"});
  for (const std::string& what : applied.added) changes.add({"added", what});
  for (const std::string& what : applied.changed) changes.add({"changed", what});
  for (const std::string& what : applied.removed) changes.add({"removed", what});
  for (const std::string& what : applied.at_restart) changes.add({"at the next start", what});
  if (options.form == Form::kJson) {
    print(fmt::format("{{\"changes\":{},\"unchanged\":{}}}\n",
                      without_line_end(changes.text(options.form)), applied.unchanged));
    return 0;
  }
  print(changes.empty() ? "in force already; nothing changed\n" : changes.text(options.form));
  return 0;
}

Result<int> status(const Options& options, const Wiring& wiring) {
  Client client = TRY(supervisor_of(options, wiring));
  const ipc::Status status = TRY(client.call(ipc::GetStatus{}));
  Table roles({"role", "state", "pid", "restarts"});
  for (const ipc::RoleStatus& role : status.roles) {
    roles.add({role.role, role.ready ? "ready" : "away", std::to_string(role.pid),
               std::to_string(role.restarts)});
  }
  const ipc::CounterList counted = counters_of(options, wiring);
  std::string text = roles.text(options.form);
  if (options.form == Form::kJson) {
    std::string killed;
    for (const RunId& run : status.killed) {
      killed += (killed.empty() ? "\"" : ",\"") + run.text() + "\"";
    }
    text.pop_back();
    std::string counters;
    for (const ipc::Counter& c : counted.counters) {
      counters += fmt::format("{}{}:{}", counters.empty() ? "" : ",", json_quoted(c.name), c.value);
    }
    text = fmt::format(
        "{{\"mode\":{},\"not_enforced\":{},\"no_sandbox\":{},\"all_killed\":{},\"killed\":[{}],"
        "\"roles\":{},\"gateway_counters\":{{{}}}}}\n",
        json_quoted(status.mode), json_list(status.not_enforced), json_quoted(status.no_sandbox),
        status.all_killed, killed, text, counters);
  } else {
    text = fmt::format("mode: {}\n", status.mode) + text;
    for (const std::string& line : lacks(status.not_enforced, status.no_sandbox)) {
      text += line + "\n";
    }
    if (status.all_killed) text += "everything is killed; `gatehouse revive --all` ends that\n";
    for (const RunId& run : status.killed) text += fmt::format("killed: {}\n", run.text());
    std::string counters;
    for (const ipc::Counter& c : counted.counters) {
      if (c.value > 0) counters += fmt::format("  {} {}", printable(c.name), c.value);
    }
    if (!counters.empty()) text += "the gateways, since they began:" + counters + "\n";
  }
  print(text);
  return 0;
}

Result<int> list_connections(const Options& options, const Wiring& wiring) {
  Client client = TRY(control_of(options, wiring));
  const auto list = TRY(client.call(ipc::ListConnections{options.tenant, options.user}));
  Table table({"service", "user", "kind", "state", "changed", "expires"});
  for (const ipc::ConnectionInfo& c : list.connections) {
    constexpr std::array<const char*, 3> kKinds = {"static", "oauth", "client secret"};
    const auto kind = static_cast<std::size_t>(c.kind);
    table.add({c.service, c.user.empty() ? "(tenant)" : c.user,
               kind < kKinds.size() ? kKinds.at(kind) : "?", c.state, time_of(c.changed_unix_ms),
               time_of(c.expires_unix_ms)});
  }
  print(table.text(options.form));
  return 0;
}

Result<int> list_runs(const Options& options, const Wiring& wiring) {
  if (const auto api = TRY(Api::signed_in(options, wiring))) return remote_runs(*api, options);
  Client client = TRY(control_of(options, wiring));
  const ipc::RunList list = TRY(client.call(ipc::ListRuns{options.most}));
  Table table({"run", "agent", "user", "started", "ended", "outcome", "where", "limits", "trace"});
  const char* limits = list.not_enforced.empty() ? "enforced" : "best-effort";
  for (const ipc::RunInfo& run : list.runs) {
    const bool is_live = run.ended_unix_ms == 0;
    table.add({run.run.text(), run.agent, run.user, time_of(run.started_unix_ms),
               time_of(run.ended_unix_ms), is_live ? "running" : outcome_of(run.exit_status),
               run.attached ? "attached" : "sandbox", is_live && !run.attached ? limits : "",
               run.trace.text()});
  }
  print(table.text(options.form));
  tell_lacks(options.form, list.not_enforced);
  return 0;
}

Result<int> list_objects(const Options& options, const Wiring& wiring) {
  Client client = TRY(control_of(options, wiring));
  const ipc::ObjectList list = TRY(client.call(ipc::ListObjects{options.kind}));
  Table table({"kind", "name", "tenant", "from"});
  for (const ipc::ObjectInfo& o : list.objects) table.add({o.kind, o.name, o.tenant, o.from});
  print(table.text(options.form));
  return 0;
}

}  // namespace gatehouse::cli
