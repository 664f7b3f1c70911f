// SPDX-License-Identifier: Apache-2.0
// `gatehouse run`.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/encoding.h"
#include "cli/client.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "ipc/cli_control.h"
#include "wire/json.h"

namespace gatehouse::cli {

Result<int> start_run(const Options& options, const Wiring& wiring) {
  Client client = TRY(Client::connect(TRY(data_directory(options, wiring)) + "/run/control.sock"));
  ipc::StartRun request;
  request.tenant = options.tenant;
  request.agent = options.agent;
  request.user = options.user;
  request.argv = options.command;
  request.environment = options.environment;
  request.pty = !options.no_pty && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  const Window size = window();
  request.rows = size.rows;
  request.columns = size.columns;
  if (const char* kind = std::getenv("TERM"); request.pty && kind != nullptr) {
    request.environment.push_back(fmt::format("TERM={}", kind));
  }
  std::vector<net::Descriptor> fds;
  const ipc::RunStarted started = TRY(client.call_with_fds(std::move(request), &fds));
  std::string header =
      fmt::format("gatehouse: run {} trace {}\n", started.run.text(), started.trace.text());
  for (const std::string& missing : started.not_enforced) {
    header += "gatehouse: not enforced on this host: " + printable(missing) + "\n";
  }
  if (options.form == Form::kJson) {
    wire::JsonWriter writer;
    writer.begin_object().key("run").string(started.run.text());
    writer.key("trace").string(started.trace.text()).key("not_enforced").begin_array();
    for (const std::string& missing : started.not_enforced) writer.string(missing);
    writer.end_array().end_object();
    header = std::move(writer).text() + "\n";
  }
  std::fputs(header.c_str(), stderr);
  return TRY(relay(std::move(fds), started.pty));
}

}  // namespace gatehouse::cli
