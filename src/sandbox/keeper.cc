// SPDX-License-Identifier: Apache-2.0
#include "sandbox/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "base/log.h"
#include "host/cgroup.h"
#include "ipc/codec.h"
#include "ipc/counters.h"
#include "sandbox/adoption.h"
#include "sandbox/warden.h"

namespace gatehouse::sandbox {
namespace {

using net::Task;

constexpr Nanos kBuildMost = std::chrono::seconds(20);
constexpr Nanos kTellMost = std::chrono::seconds(5);
constexpr Nanos kAskerWaitsMost = std::chrono::seconds(2);  // for control to be told first
constexpr Nanos kAdoptionWindow = std::chrono::seconds(3);  // wardens knock every 100 ms
constexpr Nanos kAgain = 100ms;
constexpr Nanos kShutPause = 1s;
constexpr std::size_t kDoorSockets = 4;
constexpr std::size_t kCondemnedMost = 10'000;
constexpr int kCloseTries = 600;
constexpr int kClearTries = 200;  // 10 ms apart: exits of many processes take a moment

net::Descriptor copy_of(const net::Descriptor& fd) {
  return net::Descriptor(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

}  // namespace

// The warden's line is a SOCK_SEQPACKET: each read is one message.
struct Keeper::Message {
  char kind = 0;
  std::string text;
  std::vector<net::Descriptor> fds;
};

// A Door as gateways get it, now and when they are started again; held by whoever is on the way to
// one, whatever becomes of the sandbox meanwhile.
struct Keeper::Offer {
  ipc::OpenDoor door;
  std::vector<net::Descriptor> fds;
};

struct Keeper::Sandbox {
  // Its warden's first words.
  Result<void> learn(Message message) {
    if (message.kind != 'L' || message.fds.size() < kStdioAt) {
      return failure(Error::kInvalid, "a warden's report without its descriptors");
    }
    report = TRY(ipc::decode<Report>(message.text));
    const auto door = std::make_shared<Offer>(ipc::OpenDoor{report.run, report.placeholders});
    for (std::size_t i = 0; i < kDoorSockets; ++i) door->fds.push_back(std::move(message.fds[i]));
    offer = door;
    freeze = std::move(message.fds[kFreezeAt]);
    kill = std::move(message.fds[kKillAt]);
    warden = std::move(message.fds[kWardenAt]);
    message.fds.erase(message.fds.begin(), message.fds.begin() + kStdioAt);
    stdio = std::move(message.fds);
    return {};
  }
  // A word is one small message: it goes at once, or the warden takes nothing any more.
  [[nodiscard]] bool say(std::string_view word) const {
    return line->write_now(word) == word.size();
  }

  Report report;
  std::shared_ptr<const Offer> offer;
  std::unique_ptr<net::LocalStream> line;
  net::Descriptor warden;  // its pidfd
  net::Descriptor kill;
  net::Descriptor freeze;
  std::vector<net::Descriptor> stdio;  // until it is handed on
};

Keeper::Keeper(ipc::Role& role, HostPaths host, std::string warden, std::string init)
    : role_(role),
      host_(std::move(host)),
      warden_(std::move(warden)),
      init_(std::move(init)),
      tasks_(role.loop()) {}
Keeper::~Keeper() = default;

Result<void> Keeper::take_key(const net::Descriptor& memory) {
  std::array<char, kHouseKeySize> bytes{};
  if (pread(memory.get(), bytes.data(), bytes.size(), 0) != ssize_t{kHouseKeySize}) {
    return failure(Error::kInvalid, "the house's key is cut short");
  }
  house_key_ = Secret({bytes.data(), bytes.size()});
  wipe(bytes);
  return {};
}

Task<Result<Keeper::Message>> Keeper::receive(net::LocalStream* line, Deadline deadline) {
  constexpr std::size_t kMessageMost = 64 * 1024;
  Message message;
  message.text.resize(kMessageMost);
  const std::size_t got = CO_TRY(
      co_await line->read_with({message.text.data(), message.text.size()}, message.fds, deadline));
  if (got == 0) co_return failure(Error::kClosed, "the warden ended");
  if (!message.fds.empty() && !message.fds.back().is_open()) {
    co_return failure(Error::kExhausted, "no descriptor is left for those of a message");
  }
  message.text.resize(got);
  message.kind = message.text[0];
  message.text.erase(0, 1);
  co_return message;
}

// --- one begins

Result<void> Keeper::start_warden(Sandbox& sandbox) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return failure_from_errno(errno, "a line to the warden");
  }
  net::Descriptor ours(ends[0]);
  const net::Descriptor theirs(ends[1]);
  const int room = 2 * 1024 * 1024;
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  const pid_t pid = fork();
  if (pid < 0) return failure_from_errno(errno, "starting a warden");
  if (pid == 0) {
    setsid();  // it outlives this process
    dup2(theirs.get(), kWardenLine);
    close_range(kWardenLine + 1, ~0U, 0);
    signal(SIGCHLD, SIG_DFL);
    execl(warden_.c_str(), warden_.c_str(), init_.c_str(), nullptr);
    _exit(71);
  }
  sandbox.line = TRY(role_.loop().adopt_local(std::move(ours)));
  return {};
}

Task<Result<Keeper::Created>> Keeper::create(ipc::CreateSandbox request) {
  ++asked_;
  const RunId run = request.run.run;
  if (sandboxes_.contains(run))
    co_return failure(Error::kConflict, "this run has a sandbox already");
  if (house_key_.empty()) co_return failure(Error::kUnavailable, "sandboxd begins; try again");
  Charge charge{CO_TRY(make_plan(request, host_)), request.placeholders, host_.rendezvous,
                house_key_.duplicate(Purpose::kTransport)};
  auto sandbox = std::make_unique<Sandbox>();
  CO_TRY(start_warden(*sandbox));
  std::string bytes = ipc::encode(charge);
  auto sent = co_await sandbox->line->write(bytes, role_.loop().in(kBuildMost));
  wipe(bytes);
  CO_TRY(std::move(sent));
  Message built = CO_TRY(co_await receive(sandbox->line.get(), role_.loop().in(kBuildMost)));
  if (built.kind == 'E') {
    const std::size_t space = std::min(built.text.find(' '), built.text.size() - 1);
    co_return failure(Error::kUnsupported, built.text.substr(space + 1));
  }
  CO_TRY(sandbox->learn(std::move(built)));
  // Whoever can stop it must be able to before it begins.
  CO_TRY(co_await register_brakes(*sandbox));
  if (Result<void> opened = co_await open_door(sandbox->offer); !opened) {
    close_doors(run);  // one may be open all the same
    co_return Failure(opened.error());
  }
  if (!sandbox->say("G")) co_return failure(Error::kUnavailable, "the warden ended");
  Created created;
  created.about.pty = request.pty;
  created.about.not_enforced = sandbox->report.not_enforced;
  created.fds = std::move(sandbox->stdio);
  log_info("a sandbox runs", {{"run", run.text()}, {"trace", request.run.trace.text()}});
  ++made_;
  keep(std::move(sandbox));
  // A gateway that came meanwhile has not been told of this one.
  for (const std::string& gateway : role_.peers_of("gateway")) {
    tasks_.spawn(offer_door(gateway, run));
  }
  co_return created;
}

ipc::CounterList Keeper::counters() const {
  ipc::CounterList list;
  list.counters = {{"sandboxes.asked", asked_},
                   {"sandboxes.made", made_},
                   {"sandboxes.adopted", adopted_},
                   {"sandboxes.live", sandboxes_.size()}};
  ipc::add_process_counters(list);
  return list;
}

void Keeper::keep(std::unique_ptr<Sandbox> sandbox) {
  const RunId run = sandbox->report.run.run;
  sandboxes_.insert_or_assign(run, std::move(sandbox));
  tasks_.spawn(watch(run));
}

Task<Result<void>> Keeper::register_brakes(const Sandbox& sandbox) {
  const Report& report = sandbox.report;
  ipc::RegisterSandbox registration{report.run.run, report.freezer, report.kill_by_pidfd,
                                    report.run.trace, report.run.tenant};
  const std::array<int, 3> fds = {sandbox.freeze.get(), sandbox.kill.get(), sandbox.warden.get()};
  CO_TRY(co_await role_.supervisor()->exchange(ipc::parcel_of(registration), fds,
                                               role_.loop().in(kTellMost)));
  co_return Result<void>();
}

// At every gateway that is there: whichever is free takes what comes, and when one goes the others
// go on. One that is not there gets it when it comes.
Task<Result<void>> Keeper::open_door(std::shared_ptr<const Offer> offer) {
  Result<void> opened = failure(Error::kUnavailable, "the gateway is away; try again");
  bool is_open = false;
  for (const std::string& gateway : role_.peers_of("gateway")) {
    opened = co_await open_door_at(gateway, offer);
    is_open = is_open || opened;
  }
  co_return is_open ? Result<void>() : opened;
}

Task<Result<void>> Keeper::open_door_at(std::string gateway, std::shared_ptr<const Offer> offer) {
  ipc::Channel* channel = role_.peer(gateway);
  if (channel == nullptr) co_return failure(Error::kUnavailable, gateway + " is away; try again");
  ipc::OpenDoor door = offer->door;
  std::vector<int> fds;
  for (const net::Descriptor& fd : offer->fds) fds.push_back(fd.get());
  CO_TRY(co_await channel->exchange(ipc::parcel_of(door), fds, role_.loop().in(kTellMost)));
  co_return Result<void>();
}

void Keeper::close_doors(RunId run) {
  for (const std::string& gateway : role_.peers_of("gateway")) {
    tasks_.spawn(close_door(gateway, run));
  }
}

void Keeper::offer_doors(const std::string& gateway) {
  for (const auto& [run, sandbox] : sandboxes_) tasks_.spawn(offer_door(gateway, run));
}

// Until it is open there, or the gateway or the sandbox has gone.
Task<void> Keeper::offer_door(std::string gateway, RunId run) {
  while (true) {
    const auto found = sandboxes_.find(run);
    if (found == sandboxes_.end() || found->second->report.has_ended) co_return;
    const std::shared_ptr<const Offer> offer = found->second->offer;
    const Result<void> opened = co_await open_door_at(gateway, offer);
    if (opened || role_.peer(gateway) == nullptr) co_return;
    log_warning("a Door stays shut for now", {{"name", gateway},
                                              {"run", run.text()},
                                              {"trace", offer->door.run.trace.text()},
                                              {"why", opened.error().message()}});
    co_await role_.loop().sleep_for(kShutPause);
  }
}

// --- one ends

Task<Result<ipc::Done>> Keeper::end(RunId run) {
  const auto found = sandboxes_.find(run);
  if (found == sandboxes_.end()) {
    condemned_.insert(run);
    if (condemned_.size() > kCondemnedMost) condemned_.erase(condemned_.begin());
    tasks_.spawn(clear_cgroups(run));
    close_doors(run);
    co_return ipc::Done{};
  }
  const Sandbox& sandbox = *found->second;
  if (sandbox.report.kill_by_pidfd) {
    syscall(SYS_pidfd_send_signal, sandbox.kill.get(), SIGKILL, nullptr, 0);
    // On cgroup v1 what is frozen dies only when it is thawed.
    const std::string_view word = sandbox.report.freezer == ipc::Freezer::kV1 ? "THAWED" : "0";
    if (sandbox.report.freezer != ipc::Freezer::kNone) [[maybe_unused]]
      const ssize_t written = ::pwrite(sandbox.freeze.get(), word.data(), word.size(), 0);
  } else {
    [[maybe_unused]] const ssize_t written = ::write(sandbox.kill.get(), "1", 1);
  }
  co_return ipc::Done{};
}

// Waits for the sandbox's end and tells everybody. Nobody else takes a sandbox out of the list.
Task<void> Keeper::watch(RunId run) {
  Sandbox& sandbox = *sandboxes_.at(run);
  const Result<Message> last = co_await receive(sandbox.line.get(), Deadline::never());
  std::int32_t status = 128 + SIGKILL;  // a warden that died took the sandbox with it
  if (last && last->kind == 'X') {
    std::from_chars(last->text.data(), last->text.data() + last->text.size(), status);
  } else {
    const net::Descriptor warden = copy_of(sandbox.warden);
    if (!co_await role_.loop().wait_readable(warden.get(), role_.loop().in(kTellMost))) {
      sandboxes_.erase(run);  // it lives: it has lost its line, and knocks
      co_return;
    }
    co_await clear_cgroups(run);
  }
  sandbox.report.has_ended = true;
  close_doors(run);
  const ipc::SandboxEnded ended{run, status};
  const bool told = co_await tell_control(ended, role_.loop().in(kAskerWaitsMost));
  // Whoever waits for it may take the run for over when the warden tells them.
  (void)sandbox.say("D");
  if (!told) (void)co_await tell_control(ended, Deadline::never());
  log_info("a sandbox ended",
           {{"run", run.text()}, {"trace", sandbox.report.run.trace.text()}, {"status", status}});
  sandboxes_.erase(run);
}

// Until it has heard, or the deadline.
Task<bool> Keeper::tell_control(ipc::SandboxEnded ended, Deadline deadline) {
  while (true) {
    const auto told = co_await role_.call("control", ended, role_.loop().in(kTellMost));
    if (told || (told.error() != Error::kUnavailable && told.error() != Error::kTimeout)) {
      co_return true;
    }
    if (role_.loop().now() >= deadline.at()) co_return false;
    co_await role_.loop().sleep_for(kAgain);
  }
}

// Until the gateway has heard; one that was started again has no Door to close.
Task<void> Keeper::close_door(std::string gateway, RunId run) {
  for (int tries = 0; tries < kCloseTries; ++tries) {
    if (co_await role_.call(gateway, ipc::CloseDoor{run}, role_.loop().in(kTellMost))) co_return;
    co_await role_.loop().sleep_for(kAgain);
  }
  log_error("a Door may be open that leads nowhere", {{"gateway", gateway}, {"run", run.text()}});
}

Task<void> Keeper::clear_cgroups(RunId run) {
  for (int tries = 0; tries < kClearTries && !host::Cgroup::clear_left(host_.cgroups, run.text());
       ++tries) {
    co_await role_.loop().sleep_for(10ms);
  }
}

// --- those of an earlier sandboxd

Result<void> Keeper::take_rendezvous(net::Descriptor listener) {
  tasks_.spawn(welcome(TRY(role_.loop().adopt_listener(std::move(listener)))));
  listens_since_ = role_.loop().now();
  return {};
}

Task<void> Keeper::welcome(std::unique_ptr<net::Listener> listener) {
  while (true) {
    auto stream = co_await listener->accept(Deadline::never());
    if (!stream) {
      co_await role_.loop().sleep_for(kAgain);
      continue;
    }
    const Result<std::uint32_t> uid = net::peer_uid(**stream);
    if (!uid || *uid != geteuid()) {
      log_warning("a stranger at the socket for wardens is turned away",
                  {{"uid", uid.value_or(0)}});
      continue;
    }
    tasks_.spawn(adopt_or_say(net::as_local(std::move(*stream))));
  }
}

Task<void> Keeper::adopt_or_say(std::unique_ptr<net::LocalStream> line) {
  const Result<void> adopted = co_await adopt(std::move(line));
  if (!adopted) {
    log_warning("who knocked as a warden is not adopted", {{"why", adopted.error().message()}});
  }
}

Task<Result<void>> Keeper::adopt(std::unique_ptr<net::LocalStream> line) {
  CO_TRY(co_await prove(line.get()));
  auto sandbox = std::make_unique<Sandbox>();
  CO_TRY(sandbox->learn(CO_TRY(co_await receive(line.get(), role_.loop().in(kTellMost)))));
  sandbox->line = std::move(line);
  // Of one that has ended nothing is left to be stopped.
  if (!sandbox->report.has_ended) CO_TRY(co_await register_brakes(*sandbox));
  const Report report = sandbox->report;
  const RunId run = report.run.run;
  if (sandboxes_.contains(run)) {
    co_return failure(Error::kConflict, "the sandbox of " + run.text() + " has a warden here");
  }
  ++adopted_;
  log_info("a sandbox is adopted", {{"run", run.text()},
                                    {"trace", report.run.trace.text()},
                                    {"state", report.has_ended    ? "ended"
                                              : report.is_stopped ? "frozen"
                                                                  : "running"}});
  keep(std::move(sandbox));
  if (report.has_ended) co_return Result<void>();
  tasks_.spawn(reopen(run));
  if (condemned_.erase(run) != 0) (void)co_await end(run);
  co_return Result<void>();
}

// That each side has the house's key.
Task<Result<void>> Keeper::prove(net::LocalStream* line) {
  const auto soon = [this] { return role_.loop().in(kTellMost); };
  Meeting meeting{fresh_number(), ""};
  CO_TRY(co_await line->write("N" + meeting.of_sandboxd, soon()));
  const Message answer = CO_TRY(co_await receive(line, soon()));
  if (answer.kind != 'W' || answer.text.size() != kNumberSize + kProofSize) {
    co_return failure(Error::kDenied, "it does not speak as one");
  }
  meeting.of_warden = answer.text.substr(0, kNumberSize);
  if (!is_proof(answer.text.substr(kNumberSize), "warden", house_key_, meeting)) {
    co_return failure(Error::kDenied, "it is not of this house");
  }
  CO_TRY(co_await line->write("S" + proof_of("sandboxd", house_key_, meeting), soon()));
  co_return Result<void>();
}

// When its Door is open, what was frozen because the house was gone may go on.
Task<void> Keeper::reopen(RunId run) {
  while (true) {
    const auto found = sandboxes_.find(run);
    if (found == sandboxes_.end() || found->second->report.has_ended) co_return;
    const Result<void> opened = co_await open_door(found->second->offer);
    if (opened) break;
    if (!role_.peers_of("gateway").empty()) {
      log_warning("a Door stays shut for now",
                  {{"run", run.text()}, {"why", opened.error().message()}});
      co_await role_.loop().sleep_for(kShutPause);
    }
    co_await role_.loop().sleep_for(kAgain);
  }
  const auto found = sandboxes_.find(run);
  if (found == sandboxes_.end() || !found->second->report.is_stopped) co_return;
  const auto resumed =
      co_await role_.call("supervisor", ipc::ResumeSandbox{run}, role_.loop().in(kTellMost));
  if (!resumed) {
    log_error("an adopted sandbox stays frozen",
              {{"run", run.text()}, {"why", resumed.error().message()}});
  }
  const auto after = sandboxes_.find(run);
  if (!resumed || after == sandboxes_.end()) co_return;
  after->second->report.is_stopped = false;
  (void)after->second->say("G");
}

Task<Result<ipc::SandboxList>> Keeper::list() {
  // Where nobody can knock yet, who has not come is not lost.
  while (!listens_since_) co_await role_.loop().sleep_for(kAgain);
  co_await role_.loop().sleep_until(*listens_since_ + kAdoptionWindow);
  ipc::SandboxList list;
  for (const auto& [run, sandbox] : sandboxes_) list.runs.push_back(run);
  co_return list;
}

}  // namespace gatehouse::sandbox
