// SPDX-License-Identifier: Apache-2.0
#include "sandbox/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "base/log.h"
#include "ipc/codec.h"
#include "sandbox/cgroup.h"
#include "sandbox/warden.h"

namespace gatehouse::sandbox {
namespace {

using net::Task;

constexpr Nanos kBuildMost = std::chrono::seconds(20);
constexpr Nanos kTellMost = std::chrono::seconds(5);
constexpr std::size_t kDoorSockets = 4;
constexpr Nanos kAskerLook = 500ms;  // how often it is looked whether the asker is there

// The warden's line is a SOCK_SEQPACKET: each read is one message.
struct Message {
  std::string text;
  std::vector<net::Descriptor> fds;
};
Task<Result<Message>> receive(net::LocalStream* line, Deadline deadline) {
  Message message;
  message.text.resize(8192);
  const std::size_t got = CO_TRY(
      co_await line->read_with({message.text.data(), message.text.size()}, message.fds, deadline));
  if (got == 0) co_return failure(Error::kClosed, "the warden ended");
  message.text.resize(got);
  co_return message;
}

}  // namespace

// A Door counted at its gateway, from the choice on.
class Keeper::Share {
 public:
  Share() = default;
  Share(Keeper& keeper, std::string gateway) : keeper_(&keeper), gateway_(std::move(gateway)) {
    ++keeper_->doors_[gateway_];
  }
  Share& operator=(Share&& other) noexcept {
    std::swap(keeper_, other.keeper_);
    std::swap(gateway_, other.gateway_);
    return *this;
  }
  Share(const Share&) = delete;
  ~Share() {
    if (keeper_ != nullptr) --keeper_->doors_[gateway_];
  }
  [[nodiscard]] const std::string& gateway() const { return gateway_; }

 private:
  Keeper* keeper_ = nullptr;
  std::string gateway_;
};

struct Keeper::Sandbox {
  ipc::OpenDoor door;
  Share share;                            // whose Door it is
  std::vector<net::Descriptor> door_fds;  // copies, for a gateway that is started again
  std::unique_ptr<net::LocalStream> line;
  net::Descriptor status;  // write end of the status pipe
  pid_t warden = -1;
  net::Descriptor warden_pidfd;
  net::Descriptor kill;
  bool kill_by_pidfd = false;
  net::Descriptor freeze;
  bool freezer_v1 = false;
};

Keeper::Keeper(ipc::Role& role, HostPaths host, std::string warden, std::string init)
    : role_(role),
      host_(std::move(host)),
      warden_(std::move(warden)),
      init_(std::move(init)),
      tasks_(role.loop()) {}
Keeper::~Keeper() = default;

Task<Result<Keeper::Created>> Keeper::create(ipc::CreateSandbox request) {
  const RunId run = request.run.run;
  if (sandboxes_.contains(run))
    co_return failure(Error::kConflict, "this run has a sandbox already");
  Plan plan = CO_TRY(make_plan(request, host_));
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    co_return failure_from_errno(errno, "a line to the warden");
  }
  net::Descriptor ours(ends[0]);
  const net::Descriptor theirs(ends[1]);
  const int room = 2 * 1024 * 1024;
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  auto sandbox = std::make_unique<Sandbox>();
  sandbox->warden = fork();
  if (sandbox->warden < 0) co_return failure_from_errno(errno, "starting a warden");
  if (sandbox->warden == 0) {
    dup2(theirs.get(), kWardenLine);
    close_range(kWardenLine + 1, ~0U, 0);
    execl(warden_.c_str(), warden_.c_str(), init_.c_str(), nullptr);
    _exit(71);
  }
  sandbox->warden_pidfd =
      net::Descriptor(static_cast<int>(syscall(SYS_pidfd_open, sandbox->warden, 0)));
  sandbox->line = CO_TRY(role_.loop().adopt_local(std::move(ours)));
  const std::string bytes = ipc::encode(plan);
  CO_TRY(co_await sandbox->line->write(bytes, role_.loop().in(kBuildMost)));
  Message built = CO_TRY(co_await receive(sandbox->line.get(), role_.loop().in(kBuildMost)));
  if (built.text[0] != 'L' || built.fds.size() < kStdioAt) {
    waitpid(sandbox->warden, nullptr, 0);
    const std::size_t space = std::min(built.text.find(' '), built.text.size() - 1);
    co_return failure(Error::kUnsupported, built.text.substr(space + 1));
  }
  Created created;
  created.about.pid = sandbox->warden;
  created.about.pty = request.pty;
  for (std::size_t at = built.text.find('\n'); at != std::string::npos;) {
    const std::size_t next = built.text.find('\n', at + 1);
    created.about.not_enforced.push_back(built.text.substr(at + 1, next - at - 1));
    at = next;
  }
  for (std::size_t i = 0; i < kDoorSockets; ++i)
    sandbox->door_fds.push_back(std::move(built.fds[i]));
  for (std::size_t i = kStdioAt; i < built.fds.size(); ++i) {
    created.fds.push_back(std::move(built.fds[i]));
  }
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) co_return failure_from_errno(errno, "a status pipe");
  created.fds.emplace_back(pipe_ends[0]);
  sandbox->status = net::Descriptor(pipe_ends[1]);
  sandbox->kill_by_pidfd = built.text[2] == 'p';
  sandbox->door = {request.run, request.placeholders};
  // Whoever can stop it must be able to before it begins.
  ipc::RegisterSandbox registration{run, built.text[1] == '1', sandbox->kill_by_pidfd,
                                    request.run.trace, request.run.tenant};
  const std::array<int, 2> stops = {built.fds[kFreezeAt].get(), built.fds[kFreezeAt + 1].get()};
  CO_TRY(co_await role_.supervisor()->exchange(ipc::parcel_of(registration), stops,
                                               role_.loop().in(kTellMost)));
  sandbox->share = Share(*this, CO_TRY(least_busy_gateway()));
  CO_TRY(co_await open_door(*sandbox));
  sandbox->freeze = std::move(built.fds[kFreezeAt]);
  sandbox->freezer_v1 = built.text[1] == '1';
  sandbox->kill = std::move(built.fds[kFreezeAt + 1]);
  CO_TRY(co_await sandbox->line->write("G", role_.loop().in(kTellMost)));
  log_info("a sandbox runs",
           {{"run", run.text()}, {"trace", request.run.trace.text()}, {"warden", sandbox->warden}});
  sandboxes_.insert_or_assign(run, std::move(sandbox));
  tasks_.spawn(watch(run));
  tasks_.spawn(watch_asker(run));
  co_return created;
}

Task<Result<void>> Keeper::open_door(const Sandbox& sandbox) {
  ipc::Channel* gateway = role_.peer(sandbox.share.gateway());
  if (gateway == nullptr) co_return failure(Error::kUnavailable, "the gateway is away; try again");
  ipc::OpenDoor door = sandbox.door;
  std::vector<int> fds;
  for (const net::Descriptor& fd : sandbox.door_fds) fds.push_back(fd.get());
  CO_TRY(co_await gateway->exchange(ipc::parcel_of(door), fds, role_.loop().in(kTellMost)));
  co_return Result<void>();
}

Result<std::string> Keeper::least_busy_gateway() const {
  const std::vector<std::string> there = role_.peers_of("gateway");
  if (there.empty()) return failure(Error::kUnavailable, "the gateway is away; try again");
  const auto doors_of = [this](const std::string& name) {
    const auto found = doors_.find(name);
    return found == doors_.end() ? std::size_t{0} : found->second;
  };
  return *std::min_element(there.begin(), there.end(),
                           [&](const auto& a, const auto& b) { return doors_of(a) < doors_of(b); });
}

Task<void> Keeper::offer_doors(std::string gateway) {
  std::vector<RunId> runs;
  for (const auto& [run, sandbox] : sandboxes_) {
    if (sandbox->share.gateway() == gateway) runs.push_back(run);
  }
  for (const RunId& run : runs) {
    const auto found = sandboxes_.find(run);
    if (found == sandboxes_.end()) continue;
    const TraceId trace = found->second->door.run.trace;
    const Result<void> opened = co_await open_door(*found->second);
    if (!opened) {
      log_error("a Door stays shut",
                {{"run", run.text()}, {"trace", trace.text()}, {"why", opened.error().message()}});
    }
  }
}

Task<Result<ipc::Done>> Keeper::end(RunId run) {
  const auto found = sandboxes_.find(run);
  if (found == sandboxes_.end()) co_return ipc::Done{};
  const Sandbox& sandbox = *found->second;
  if (sandbox.kill_by_pidfd) {
    syscall(SYS_pidfd_send_signal, sandbox.kill.get(), SIGKILL, nullptr, 0);
    // On cgroup v1 what is frozen dies only when it is thawed.
    const std::string_view word = sandbox.freezer_v1 ? "THAWED" : "0";
    [[maybe_unused]] const ssize_t written =
        ::pwrite(sandbox.freeze.get(), word.data(), word.size(), 0);
  } else {
    [[maybe_unused]] const ssize_t written = ::write(sandbox.kill.get(), "1", 1);
  }
  co_return ipc::Done{};
}

Result<ipc::HostLimits> Keeper::host_limits() {
  ipc::HostLimits limits;
  const auto trial = Cgroup::make("trial-" + RunId::fresh().text(), {1 << 20, 1});
  if (!trial) {
    limits.not_enforced.push_back(trial.error().message());
  } else {
    limits.not_enforced = (*trial)->not_enforced();
  }
  for (const char* tool : {"/usr/sbin/ip", "/usr/sbin/nft"}) {
    if (access(tool, X_OK) != 0) {
      limits.not_enforced.push_back(fmt::format("no sandbox can be made: {} is missing", tool));
    }
  }
  return limits;
}

std::vector<RunId> Keeper::runs() const {
  std::vector<RunId> list;
  for (const auto& [run, sandbox] : sandboxes_) list.push_back(run);
  return list;
}

// Whoever started the run and waits for its end holds the other end of the status pipe: when they
// are gone, so is what it was for.
Task<void> Keeper::watch_asker(RunId run) {
  const auto begun = sandboxes_.find(run);
  if (begun == sandboxes_.end()) co_return;
  const net::Descriptor pipe(fcntl(begun->second->status.get(), F_DUPFD_CLOEXEC, 3));
  if (!pipe.is_open()) co_return;
  while (sandboxes_.contains(run)) {
    pollfd about{pipe.get(), 0, 0};
    if (poll(&about, 1, 0) == 1 && (about.revents & POLLERR) != 0) break;
    co_await role_.loop().sleep_for(kAskerLook);
  }
  const auto found = sandboxes_.find(run);
  if (found == sandboxes_.end()) co_return;
  log_info("a run ends, because who started it has gone",
           {{"run", run.text()}, {"trace", found->second->door.run.trace.text()}});
  (void)co_await end(run);
}

// Waits for the sandbox's end and tells everybody.
Task<void> Keeper::watch(RunId run) {
  net::LocalStream* line = sandboxes_.at(run)->line.get();
  const Result<Message> last = co_await receive(line, Deadline::never());
  std::int32_t status = 128 + SIGKILL;  // a warden that died took the sandbox with it
  if (last && last->text[0] == 'X') {
    std::from_chars(last->text.data() + 1, last->text.data() + last->text.size(), status);
  }
  const std::unique_ptr<Sandbox> sandbox = std::move(sandboxes_.at(run));
  sandboxes_.erase(run);
  (void)co_await role_.loop().wait_readable(sandbox->warden_pidfd.get(),
                                            role_.loop().in(kTellMost));
  waitpid(sandbox->warden, nullptr, WNOHANG);
  ipc::CloseDoor close;
  close.run = run;
  (void)co_await role_.call(sandbox->share.gateway(), close, role_.loop().in(kTellMost));
  ipc::SandboxEnded ended{run, status};
  (void)co_await role_.call("supervisor", ended, role_.loop().in(kTellMost));
  (void)co_await role_.call("control", ended, role_.loop().in(kTellMost));
  // Last: whoever waits for it may take the run for over.
  const std::array<char, 4> bytes = {static_cast<char>(status), static_cast<char>(status >> 8), 0,
                                     0};
  [[maybe_unused]] const ssize_t written =
      ::write(sandbox->status.get(), bytes.data(), bytes.size());
  log_info("a sandbox ended",
           {{"run", run.text()}, {"trace", sandbox->door.run.trace.text()}, {"status", status}});
}

}  // namespace gatehouse::sandbox
