// SPDX-License-Identifier: Apache-2.0
#include "sandbox/warden.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "base/log.h"
#include "ipc/codec.h"
#include "sandbox/adoption.h"
#include "sandbox/launch.h"

namespace gatehouse::sandbox {
namespace {

constexpr std::size_t kChargeMost = 1024 * 1024;
constexpr std::size_t kWordMost = 4096;  // of sandboxd's later messages
constexpr Nanos kKnockEvery = 100ms;

bool send_with(int line, std::string_view text, std::span<const int> fds) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return sendmsg(line, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

int refuse(const Error& error) {
  send_with(kWardenLine, "E" + std::to_string(error.code()) + " " + error.message(), {});
  return row_of(error.code()).exit_code;
}

Result<Charge> read_charge() {
  std::string bytes(kChargeMost, '\0');
  const ssize_t got = recv(kWardenLine, bytes.data(), bytes.size(), 0);
  if (got <= 0) return failure(Error::kClosed, "no plan came");
  auto charge =
      ipc::decode<Charge>(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
  wipe({bytes.data(), static_cast<std::size_t>(got)});
  return charge;
}

// What belongs to the sandbox as long as its warden lives: it is handed to each sandboxd.
struct Handles {
  std::array<net::Descriptor, 4> door;
  net::Descriptor freeze;
  net::Descriptor kill;  // cgroup.kill; closed where it is by pidfd
  net::Descriptor pidfd;
  net::Descriptor warden;
};

class Warden {
 public:
  Warden(Charge charge, Launched launched, Nanos adoption_most)
      : charge_(std::move(charge)), launched_(std::move(launched)), adoption_most_(adoption_most) {}

  // Errors: what the kernel does not give.
  Result<void> begin() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return failure_from_errno(errno, "a status pipe");
    launched_.stdio.emplace_back(ends[0]);
    status_ = net::Descriptor(ends[1]);
    handles_.door = std::move(launched_.door.fds);
    const host::Cgroup& cgroup = *launched_.cgroup;
    handles_.freeze = copy_of(cgroup.can_freeze() ? cgroup.freeze_fd() : launched_.pidfd.get());
    if (launched_.cgroup->kill_fd() >= 0) handles_.kill = copy_of(launched_.cgroup->kill_fd());
    handles_.pidfd = copy_of(launched_.pidfd.get());
    handles_.warden = net::Descriptor(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
    report_.run = charge_.plan.run;
    report_.placeholders = charge_.placeholders;
    report_.freezer = !cgroup.can_freeze()  ? ipc::Freezer::kNone
                      : cgroup.freezer_v1() ? ipc::Freezer::kV1
                                            : ipc::Freezer::kV2;
    report_.kill_by_pidfd = !handles_.kill.is_open();
    report_.not_enforced = cgroup.not_enforced();
    line_ = net::Descriptor(kWardenLine);
    is_adopted_ = true;
    if (!report()) return failure(Error::kClosed, "sandboxd is gone");
    launched_.stdio.clear();
    return {};
  }

  void guard() {
    while (!is_over_) {
      if (!is_adopted_) seek();
      if (!is_over_) wait();
    }
    if (!status_code_) end_sandbox();
    tell_asker();
  }

 private:
  static net::Descriptor copy_of(int fd) {
    return net::Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, kWardenLine + 1));
  }
  void say(LogLevel level, std::string_view what) const {
    log(level, what, {{"run", report_.run.run.text()}, {"trace", report_.run.trace.text()}});
  }

  // --- the line to sandboxd

  bool report() {
    std::vector<int> fds;
    for (const net::Descriptor& fd : handles_.door) fds.push_back(fd.get());
    fds.push_back(handles_.freeze.get());
    fds.push_back(report_.kill_by_pidfd ? handles_.pidfd.get() : handles_.kill.get());
    fds.push_back(handles_.warden.get());
    for (const net::Descriptor& fd : launched_.stdio) fds.push_back(fd.get());
    report_.has_ended = status_code_.has_value();
    return send_with(line_.get(), "L" + ipc::encode(report_), fds);
  }
  void tell_end() { send_with(line_.get(), "X" + std::to_string(*status_code_), {}); }

  void hear() {
    std::string word(kWordMost, '\0');
    const ssize_t got = recv(line_.get(), word.data(), word.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return lose_line();
    const std::string_view rest =
        std::string_view(word).substr(1, static_cast<std::size_t>(got) - 1);
    if (!is_adopted_) return meet(word[0], rest);
    if (word[0] == 'G') {
      if (!has_begun_) send(launched_.go.get(), "G", 1, MSG_NOSIGNAL);
      has_begun_ = true;
      report_.is_stopped = false;
    } else if (word[0] == 'D') {
      is_over_ = status_code_.has_value();
    }
  }

  void lose_line() {
    line_.reset();
    meeting_ = {};
    if (!is_adopted_) return;
    is_adopted_ = false;
    alone_since_ = Instant::now();
    next_knock_ = alone_since_;
    // What never began was promised to nobody.
    if (!has_begun_) is_over_ = true;
  }

  // --- without one

  void seek() {
    const Instant now = Instant::now();
    if (now - alone_since_ >= adoption_most_) {
      say(LogLevel::kError, "no sandboxd has adopted this sandbox in time, so it ends");
      is_over_ = true;
    } else if (!line_.is_open() && now >= next_knock_) {
      next_knock_ = now + kKnockEvery;
      knock();
    }
  }

  void knock() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& path = charge_.rendezvous;
    if (path.size() >= sizeof address.sun_path) return house_is_gone();
    std::memcpy(address.sun_path, path.data(), path.size());
    net::Descriptor line(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(line.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      if (errno != EAGAIN) house_is_gone();  // EAGAIN: many wait there already
      return;
    }
    ucred listener{};
    socklen_t size = sizeof listener;
    if (getsockopt(line.get(), SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0
        || listener.uid != geteuid()) {
      return house_is_gone();
    }
    line_ = std::move(line);
  }

  // Nobody listens where this house's supervisor does: there is nothing that could stop the sandbox
  // now, so it is stopped.
  void house_is_gone() {
    if (status_code_) is_over_ = true;  // and nobody is left to be told
    if (status_code_ || report_.is_stopped) return;
    if (report_.freezer == ipc::Freezer::kNone) {
      say(LogLevel::kWarning, "the house is gone and nothing can freeze this sandbox, so it ends");
      is_over_ = true;
      return;
    }
    say(LogLevel::kWarning, "the house is gone; this sandbox is frozen until it is back");
    freeze();
  }

  void meet(char word, std::string_view said) {
    if (word == 'N' && meeting_.of_warden.empty() && said.size() == kNumberSize) {
      meeting_ = {std::string(said), fresh_number()};
      send_with(line_.get(),
                "W" + meeting_.of_warden + proof_of("warden", charge_.house_key, meeting_), {});
    } else if (word == 'S' && is_proof(said, "sandboxd", charge_.house_key, meeting_)) {
      is_adopted_ = true;
      meeting_ = {};
      say(LogLevel::kInfo, "adopted by a new sandboxd");
      if (report() && status_code_) tell_end();
    } else {
      say(LogLevel::kWarning, "who listens for wardens is not of this house");
      lose_line();
    }
  }

  // --- the sandbox

  void wait() {
    std::array<pollfd, 3> waits = {pollfd{line_.get(), POLLIN, 0},  // -1 is passed over
                                   pollfd{status_code_ ? -1 : launched_.pidfd.get(), POLLIN, 0},
                                   pollfd{asker_left_ ? -1 : status_.get(), 0, 0}};
    if (poll(waits.data(), waits.size(), is_adopted_ ? -1 : pause_ms()) < 0) return;
    if (waits[1].revents != 0) reap();
    if (waits[2].revents != 0) asker_left();
    if (waits[0].revents != 0) hear();
  }
  [[nodiscard]] int pause_ms() const {
    const Instant bound = alone_since_ + adoption_most_;
    const Instant next = line_.is_open() ? bound : std::min(bound, next_knock_);
    const auto left = std::chrono::ceil<Millis>(next - Instant::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }

  void reap() {
    int status = 0;
    waitpid(launched_.pid, &status, 0);
    status_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    launched_.cgroup.reset();  // before it is said: then nothing of the sandbox is left
    if (is_adopted_) tell_end();
  }

  // Whoever started the run and waits for its end holds the other end of the status pipe: when they
  // are gone, so is what it was for.
  void asker_left() {
    asker_left_ = true;
    if (status_code_) return;
    say(LogLevel::kInfo, "a run ends, because who started it has gone");
    kill_sandbox();
  }

  void freeze() {
    if (report_.freezer == ipc::Freezer::kNone) return;
    const std::string_view word = report_.freezer == ipc::Freezer::kV1 ? "FROZEN" : "1";
    [[maybe_unused]] const ssize_t written =
        ::pwrite(handles_.freeze.get(), word.data(), word.size(), 0);
    report_.is_stopped = true;
  }
  void kill_sandbox() {
    launched_.cgroup->kill_all();
    kill(launched_.pid, SIGKILL);
    launched_.cgroup->thaw();  // on cgroup v1 what is frozen dies only when it is thawed
  }
  void end_sandbox() {
    freeze();  // first still, then ended
    kill_sandbox();
    reap();
  }

  void tell_asker() {
    const auto code = static_cast<std::uint32_t>(*status_code_);
    std::array<char, 4> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(code >> (8 * i));
    [[maybe_unused]] const ssize_t written = ::write(status_.get(), bytes.data(), bytes.size());
  }

  Charge charge_;
  Launched launched_;
  Nanos adoption_most_;
  Handles handles_;
  Report report_;
  net::Descriptor line_;
  net::Descriptor status_;  // write end of the status pipe
  std::optional<std::int32_t> status_code_;
  bool has_begun_ = false;
  bool is_adopted_ = false;
  bool is_over_ = false;
  bool asker_left_ = false;
  Instant alone_since_;
  Instant next_knock_;
  Meeting meeting_;
};

}  // namespace

int guard_sandbox(int init_fd, Nanos adoption_most) {
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGPIPE, SIG_IGN);
  Result<Charge> charge = read_charge();
  if (!charge) return refuse(charge.error());
  if (const Result<void> left = host::Cgroup::leave_for_wardens(charge->plan.cgroups); !left) {
    log_warning("this sandbox ends with the house if a service manager ends what is left of it",
                {{"why", left.error().message()}});
  }
  Result<Launched> launched = launch(charge->plan, init_fd);
  if (!launched) return refuse(launched.error());
  Warden warden(std::move(*charge), std::move(*launched), adoption_most);
  if (const Result<void> begun = warden.begin(); !begun) return refuse(begun.error());
  warden.guard();
  return 0;
}

}  // namespace gatehouse::sandbox
