// SPDX-License-Identifier: Apache-2.0
// The verbs about the house itself: where it lies, its config, its start, its log.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "audit/verify.h"
#include "base/encoding.h"
#include "cli/verbs.h"
#include "net/descriptor.h"

namespace gatehouse::cli {
namespace {

constexpr const char* kFileName = "gatehouse.yaml";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Result<std::string> absolute(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return failure_from_errno(errno, "looking for " + path);
  std::string text = resolved;
  std::free(resolved);
  return text;
}

Result<void> write_new_file(const std::string& path, std::string_view text) {
  const net::Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.is_open() && errno == EEXIST) {
    return failure(Error::kConflict,
                   path + " exists already and is left as it is; give another directory");
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

Result<std::string> config_path(const Options& options) {
  if (!options.config.empty()) return absolute(options.config);
  std::string user_directory = variable("XDG_CONFIG_HOME");
  if (user_directory.empty()) user_directory = variable("HOME") + "/.config";
  for (const std::string& path :
       {std::string(kFileName), user_directory + "/gatehouse/" + kFileName,
        std::string("/etc/gatehouse/") + kFileName}) {
    if (exists(path)) return absolute(path);
  }
  return failure(Error::kNotFound,
                 "there is no gatehouse.yaml here, in ~/.config/gatehouse or in "
                 "/etc/gatehouse; `gatehouse init` writes one, --config names "
                 "another");
}

Result<std::string> data_directory(const Options& options, const Wiring& wiring) {
  if (!options.data.empty()) return absolute(options.data);
  if (const std::string data = variable("GATEHOUSE_DATA"); !data.empty()) return absolute(data);
  return wiring.data_of(TRY(config_path(options)));
}

Result<int> init(const Options& options, const Wiring& wiring) {
  std::string directory = options.directory.empty() ? "." : options.directory;
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return failure_from_errno(errno, "making " + directory);
  }
  directory = TRY(absolute(directory));
  const std::string data = options.data.empty() ? directory + "/gatehouse-data" : options.data;
  const std::string config = directory + "/" + kFileName;
  TRY(write_new_file(config, TRY(wiring.example_config(data, options.admin))));
  if (mkdir(data.c_str(), 0700) != 0 && errno != EEXIST) {
    return failure_from_errno(errno, "making the data directory " + data);
  }
  print(told(options.form,
             fmt::format("wrote {}\nmade  {}\nNext: edit the file, then `gatehouse up --config {}`",
                         config, data, config),
             {{"config", config}, {"data", data}}));
  return 0;
}

Result<int> up(const Options& options, const Wiring& wiring) {
  const std::string config = TRY(config_path(options));
  const std::string named = TRY(wiring.data_of(config));
  const std::string data = options.data.empty() ? named : TRY(absolute(options.data));
  UpRequest request{data, config, options.log, std::nullopt, options.no_landlock};
  if (!options.limits.empty()) request.limits_best_effort = options.limits == "best-effort";
  TRY(wiring.up(request));
  return 0;
}

Result<int> verify_audit(const Options& options, const Wiring& wiring) {
  std::string directory = options.directory;
  if (directory.empty()) directory = TRY(data_directory(options, wiring)) + "/audit";
  TRY(wiring.enter_house_of(directory));
  auto files = TRY(net::open_file_system(directory));
  const audit::Report report = audit::verify(*files);
  const std::string root = to_hex(report.root);
  if (!report.intact()) {
    return failure(Error::kCorrupt,
                   fmt::format("the log in {} is damaged: {}", directory, report.damage->text()));
  }
  print(told(options.form,
             fmt::format("intact: {} entries, {} bodies, {} segments, {} bytes\nroot {}",
                         report.entries, report.bodies, report.segments, report.bytes, root),
             {{"intact", true},
              {"entries", std::uint64_t{report.entries}},
              {"exchanges", std::uint64_t{report.exchanges}},
              {"bodies", std::uint64_t{report.bodies}},
              {"segments", std::uint64_t{report.segments}},
              {"root", root}}));
  return 0;
}

}  // namespace gatehouse::cli
