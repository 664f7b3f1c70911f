// SPDX-License-Identifier: Apache-2.0
#include "exporter/access_log.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "exporter/access_line.h"

namespace gatehouse::exporter {
namespace {

// Whether a line can be written without waiting: a pipe that says so has room for kLineMost.
bool is_writable(int fd) {
  pollfd asked{fd, POLLOUT, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLOUT) != 0;
}

}  // namespace

void AccessLog::use(bool is_wanted) {
  is_wanted_ = is_wanted;
  if (is_wanted) return;
  file_.reset();
  waiting_.clear();
  is_in_line_ = false;
}

void AccessLog::write_to(net::Descriptor file) {
  struct stat about{};
  is_regular_ = fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode);
  file_ = std::move(file);
  if (std::exchange(is_in_line_, false)) {
    // Its beginning is in the other file.
    waiting_.erase(0, std::min(waiting_.find('\n'), waiting_.size() - 1) + 1);
    ++dropped_;
  }
  flush();
}

void AccessLog::add(std::string_view line) {
  if (waiting_.size() + line.size() > kWaitingMost) {
    ++dropped_;
  } else {
    waiting_ += line;
  }
}

void AccessLog::flush() {
  if (write_what_waits() || is_trying_) return;
  is_trying_ = true;
  tasks_.spawn(try_again());
}

net::Task<void> AccessLog::try_again() {
  do {
    co_await loop_.sleep_for(kTryAgain);
  } while (!write_what_waits());
  is_trying_ = false;
}

bool AccessLog::write_what_waits() {
  while (!waiting_.empty()) {
    if (!file_.is_open() || !is_writable(file_.get())) return false;
    std::size_t size = waiting_.size();
    if (!is_regular_) size = waiting_.rfind('\n', std::min(size, kLineMost) - 1) + 1;
    const ssize_t n = write(file_.get(), waiting_.data(), size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN && !std::exchange(is_failing_, true)) {
        log_warning("the access log cannot be written; its lines wait",
                    {{"why", std::strerror(errno)}});
      }
      return false;
    }
    wrote(static_cast<std::size_t>(n));
  }
  return true;
}

void AccessLog::wrote(std::size_t bytes) {
  const auto begin = waiting_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(bytes);
  lines_ += static_cast<std::uint64_t>(std::count(begin, end, '\n'));
  is_in_line_ = bytes > 0 ? waiting_[bytes - 1] != '\n' : is_in_line_;
  waiting_.erase(begin, end);
  if (std::exchange(is_failing_, false)) log_info("the access log can be written again");
}

void AccessLog::add_counters(ipc::CounterList& list) const {
  list.counters.push_back({"lines.written", lines_});
  list.counters.push_back({"lines.dropped", dropped_});
}

}  // namespace gatehouse::exporter
