// SPDX-License-Identifier: Apache-2.0
#include "supervisor/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace gatehouse::supervisor {
namespace {

constexpr mode_t kMode = 0640;
constexpr const char* kRole = "exporter";

}  // namespace

Result<net::Descriptor> AccessLog::opened(const std::string& to) {
  if (to.empty()) return net::Descriptor();
  if (to == "stderr") return copy_of(STDERR_FILENO);
  // A pipe without a reader must not hold the house up.
  net::Descriptor file(
      open(to.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kMode));
  struct stat about{};
  if (!file.is_open() || fstat(file.get(), &about) != 0) {
    return failure_from_errno(errno, "opening the access log, " + to);
  }
  if (!S_ISREG(about.st_mode)) {
    return failure(Error::kInvalid, fmt::format("the access log, {}, must be a file", to));
  }
  return file;
}

void AccessLog::use(net::Descriptor file) {
  file_ = std::move(file);
  const auto found = children_.find(kRole);
  if (found != children_.end() && found->second.furnished) furnish(kRole);
}

void AccessLog::furnish(const std::string& role) {
  if (role != kRole || !file_.is_open()) return;
  joiner_.give(role, "access-log", [this]() -> Result<net::Descriptor> {
    if (!file_.is_open()) return failure(Error::kInvalid, "there is none any more");
    return copy_of(file_.get());
  });
}

}  // namespace gatehouse::supervisor
