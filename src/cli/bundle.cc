// SPDX-License-Identifier: Apache-2.0
// `gatehouse support-bundle`: one JSON file for whoever helps, which its sender can read first. It
// is made of what is known to say nothing of people and secrets; every other text is replaced by a
// number, the same for the same text within the file.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <fstream>
#include <map>
#include <thread>

#include "audit/verify.h"
#include "base/time.h"
#include "cli/client.h"
#include "cli/log_line.h"
#include "cli/verbs.h"
#include "ipc/supervisor.h"
#include "net/file.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kLinesMost = 1000;  // of the log, the last

class Pseudonyms {
 public:
  std::string of(std::string_view text) {
    const auto [found, fresh] = numbers_.emplace(text, numbers_.size() + 1);
    return fmt::format("<{}>", found->second);
  }

 private:
  std::map<std::string, std::size_t, std::less<>> numbers_;
};

// The label of what went wrong; its message may name things.
void write_error(wire::JsonWriter& writer, const Error& error) {
  writer.begin_object().key("unavailable").string(row_of(error.code()).label).end_object();
}

void write_host(wire::JsonWriter& writer) {
  utsname kernel{};
  uname(&kernel);
  struct sysinfo memory{};
  sysinfo(&memory);
  std::string distribution;
  std::ifstream release("/etc/os-release");
  for (std::string line; std::getline(release, line);) {
    if (line.starts_with("ID=") || line.starts_with("VERSION_ID=")) distribution += line + " ";
  }
  writer.begin_object().key("kernel").string(kernel.release);
  writer.key("machine").string(kernel.machine).key("distribution").string(distribution);
  writer.key("cores").integer(static_cast<std::int64_t>(std::thread::hardware_concurrency()));
  writer.key("memory_bytes");
  writer.integer(static_cast<std::int64_t>(memory.totalram * memory.mem_unit)).end_object();
}

void write_status(wire::JsonWriter& writer, const std::string& data) {
  Result<Client> client = Client::connect(data + "/run/supervisor.sock");
  const auto status =
      client ? client->call(ipc::GetStatus{}) : Result<ipc::Status>(Failure(client.error()));
  if (!status) return write_error(writer, status.error());
  writer.begin_object().key("everything_killed").boolean(status->all_killed);
  writer.key("killed_runs").integer(static_cast<std::int64_t>(status->killed.size()));
  writer.key("roles").begin_array();
  for (const ipc::RoleStatus& role : status->roles) {
    writer.begin_object().key("role").string(role.role).key("ready").boolean(role.ready);
    writer.key("restarts").integer(role.restarts).end_object();
  }
  writer.end_array().end_object();
}

void write_log(wire::JsonWriter& writer, const std::string& path, Pseudonyms& names) {
  std::ifstream file(path);
  std::deque<std::string> last;
  std::int64_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    last.push_back(std::move(line));
    if (last.size() > kLinesMost) last.pop_front();
  }
  std::int64_t foreign = 0;
  writer.begin_object().key("lines").integer(lines).key("last").begin_array();
  for (const std::string& line : last) {
    const auto read = parse_log_line(line);
    if (!read) {
      ++foreign;
      continue;
    }
    writer.begin_object().key("time").string(read->time).key("level").string(read->level);
    writer.key("role").string(read->role).key("message").string(read->message);
    for (const auto& [key, value] : read->fields) {
      writer.key(key).string(says_nothing(value) ? value : names.of(value));
    }
    writer.end_object();
  }
  writer.end_array().key("left_out").integer(foreign).end_object();
}

void write_audit(wire::JsonWriter& writer, const std::string& data) {
  auto files = net::open_file_system(data + "/audit");
  if (!files) return write_error(writer, files.error());
  const audit::Report report = audit::verify(**files);
  writer.begin_object().key("intact").boolean(report.intact());
  writer.key("entries").integer(static_cast<std::int64_t>(report.entries));
  writer.key("bodies").integer(static_cast<std::int64_t>(report.bodies));
  writer.key("segments").integer(static_cast<std::int64_t>(report.segments));
  writer.key("bytes").integer(static_cast<std::int64_t>(report.bytes)).end_object();
}

void write_config(wire::JsonWriter& writer, const std::string& path, const Wiring& wiring,
                  Pseudonyms& names) {
  const auto report = wiring.check_config(path);
  if (!report) return write_error(writer, report.error());
  writer.begin_object().key("problems").begin_array();
  for (const ConfigProblem& problem : report->problems) {
    writer.begin_object().key("line").integer(problem.line);
    writer.key("column").integer(problem.column).key("code").string(problem.code).end_object();
  }
  writer.end_array().key("file");
  writer.raw(wiring.redacted_config(path, [&names](std::string_view t) { return names.of(t); }));
  writer.end_object();
}

Result<void> write_private_file(const std::string& path, std::string_view text) {
  const net::Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open() && errno == EEXIST) {
    return failure(Error::kConflict, path + " exists already and is left as it is");
  }
  if (!file.is_open()) return failure_from_errno(errno, "writing " + path);
  while (!text.empty()) {
    const ssize_t n = write(file.get(), text.data(), text.size());
    if (n < 0) return failure_from_errno(errno, "writing " + path);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<int> support_bundle(const Options& options, const Wiring& wiring) {
  const std::string config = TRY(config_path(options));
  const Result<std::string> data = data_directory(options, wiring);
  Pseudonyms names;
  wire::JsonWriter writer;
  writer.begin_object().key("gatehouse").string(GATEHOUSE_VERSION);
  writer.key("made").string(WallTime::now().text()).key("host");
  write_host(writer);
  writer.key("config");
  write_config(writer, config, wiring, names);
  if (data) {
    writer.key("status");
    write_status(writer, *data);
    writer.key("doctor");
    const auto examined = diagnosis(*data);
    if (examined) writer.raw(*examined);
    if (!examined) write_error(writer, examined.error());
    writer.key("metrics");
    const auto metrics = fetch_metrics(*data);
    if (metrics) writer.string(*metrics);
    if (!metrics) write_error(writer, metrics.error());
    writer.key("audit");
    write_audit(writer, *data);
  }
  if (!options.log.empty()) {
    if (access(options.log.c_str(), R_OK) != 0) {
      return failure_from_errno(errno, "reading " + options.log);
    }
    writer.key("log");
    write_log(writer, options.log, names);
  }
  writer.end_object();
  TRY(write_private_file(options.output, std::move(writer).text() + "\n"));
  print(told(options.form,
             fmt::format("wrote {}: read it before you send it. Names, addresses and texts in it "
                         "are numbers; the same number is the same text",
                         options.output),
             {{"file", options.output}}));
  return 0;
}

}  // namespace gatehouse::cli
