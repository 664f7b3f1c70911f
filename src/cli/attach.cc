// SPDX-License-Identifier: Apache-2.0
// `gatehouse attach`: an agent outside of a sandbox, behind a forwarder of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "base/encoding.h"
#include "base/id.h"
#include "cli/answers.h"
#include "cli/api.h"
#include "cli/client_key.h"
#include "cli/forwarder.h"
#include "cli/verbs.h"
#include "ipc/agent_environment.h"
#include "net/real_loop.h"
#include "wire/json.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace gatehouse::cli {
namespace {

using net::Task;

constexpr Nanos kAgain = std::chrono::seconds(1);  // after a renewal that failed
constexpr Nanos kAgainMost = std::chrono::seconds(10);
constexpr int kNotFoundStatus = 127;  // as a shell says it, and
constexpr int kNotRunStatus = 126;
// What a person or a service manager sends to this process is for the agent. A terminal's go to
// both by themselves.
constexpr std::array<int, 6> kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

std::string wish_of(const Options& options, std::string_view thumbprint) {
  wire::JsonWriter body;
  body.begin_object();
  body.key("agent").string(options.agent);
  if (!options.user.empty()) body.key("user").string(options.user);
  body.key("environment").begin_array();
  for (const std::string& variable : options.environment) body.string(variable);
  body.end_array();
  body.key("cnf").begin_object();
  body.key("x5t#S256").string(to_base64url(thumbprint)).end_object();
  body.end_object();
  return std::move(body).text();
}

// The trust anchors of this machine, from where its programs have them; "" where none are found.
std::string host_anchors() {
  std::vector<std::string> places = {"/etc/ssl/certs/ca-certificates.crt",
                                     "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
  if (const char* chosen = std::getenv("SSL_CERT_FILE")) places.insert(places.begin(), chosen);
  for (const std::string& place : places) {
    std::ifstream file(place, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (file && !text.empty()) return text;
  }
  return "";
}

// A directory of this person's alone with the bundle that the agent trusts; gone with this.
class TrustFolder {
 public:
  TrustFolder() = default;
  TrustFolder(const TrustFolder&) = delete;
  TrustFolder& operator=(const TrustFolder&) = delete;
  ~TrustFolder() {
    if (path_.empty()) return;
    unlink(bundle().c_str());
    rmdir(path_.c_str());
  }
  [[nodiscard]] Result<void> make(const std::string& anchors) {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const char* temporary = std::getenv("TMPDIR");
    std::string path = runtime != nullptr && *runtime == '/'       ? runtime
                       : temporary != nullptr && *temporary == '/' ? temporary
                                                                   : "/tmp";
    path += "/gatehouse-attach.XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return failure_from_errno(errno, "making " + path);
    path_ = path;
    const net::Descriptor file(
        open(bundle().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    std::string_view left = anchors;
    while (file.is_open() && !left.empty()) {
      const ssize_t n = write(file.get(), left.data(), left.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(n));
    }
    if (!left.empty() || !file.is_open()) return failure_from_errno(errno, "writing " + bundle());
    return {};
  }
  [[nodiscard]] std::string bundle() const { return path_ + "/ca.pem"; }

 private:
  std::string path_;
};

// This process's, but for what leads past the forwarder, with what the agent's Run has.
std::vector<std::string> environment_of(const AttachedRun& given, const std::string& proxy,
                                        const std::string& bundle) {
  std::map<std::string, std::string, std::less<>> variables;
  const auto put = [&](std::string_view item) {
    const std::size_t equals = item.find('=');
    if (equals != std::string_view::npos && equals > 0) {
      variables[std::string(item.substr(0, equals))] = item.substr(equals + 1);
    }
  };
  for (char** item = environ; *item != nullptr; ++item) put(*item);
  for (const char* name : {"all_proxy", "ALL_PROXY"}) variables.erase(name);
  for (const auto& items :
       {given.environment, ipc::proxy_variables(proxy), ipc::trust_variables(bundle)}) {
    for (const std::string& item : items) put(item);
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

sigset_t passed_on() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : kPassedOn) sigaddset(&wanted, number);
  return wanted;
}

// The agent's process; its standard streams are those of this one.
class Agent {
 public:
  [[nodiscard]] Result<void> start(std::vector<std::string> words,
                                   std::vector<std::string> environment) {
    const sigset_t wanted = passed_on();
    sigset_t before;
    sigprocmask(SIG_BLOCK, &wanted, &before);
    signals_ = net::Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    std::vector<char*> argv = pointers_to(words);
    std::vector<char*> envp = pointers_to(environment);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) return failure_from_errno(errno, "starting " + words.front());
    if (pid_ == 0) become(argv.data(), envp.data(), before, parent);
    pidfd_ = net::Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (!signals_.is_open() || !pidfd_.is_open()) {
      const int why = errno;
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      return failure_from_errno(why, "watching " + words.front());
    }
    return {};
  }
  // Until it ends; its status as a shell has it.
  [[nodiscard]] Task<int> ended(net::Loop* loop) {
    (void)co_await loop->wait_readable(pidfd_.get(), Deadline::never());
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    co_return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  [[nodiscard]] Task<void> pass_signals(net::Loop* loop) {
    while (true) {
      (void)co_await loop->wait_readable(signals_.get(), Deadline::never());
      signalfd_siginfo signal{};
      if (read(signals_.get(), &signal, sizeof signal) != ssize_t{sizeof signal}) continue;
      // By its descriptor: its number may be another's when it has ended.
      if (signal.ssi_code != SI_KERNEL) {
        syscall(SYS_pidfd_send_signal, pidfd_.get(), signal.ssi_signo, nullptr, 0);
      }
    }
  }

 private:
  [[noreturn]] static void become(char** argv, char** envp, const sigset_t& mask, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // without its forwarder it has no way out
    if (getppid() != parent) _exit(kNotRunStatus);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    execvpe(argv[0], argv, envp);
    const int why = errno;
    const std::string said =
        fmt::format("gatehouse: {} cannot be run: {}\n", argv[0], std::strerror(why));
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, said.data(), said.size());
    _exit(why == ENOENT ? kNotFoundStatus : kNotRunStatus);
  }

  pid_t pid_ = -1;
  net::Descriptor pidfd_;
  net::Descriptor signals_;
};

void say(std::string_view what) {
  const std::string line = fmt::format("gatehouse: {}\n", printable(what));
  std::fputs(line.c_str(), stderr);
}

// Gets another token at half of each one's life. While it cannot, it tries on: whoever is signed in
// anew by then counts. Ends when there is no Run any more.
class Renewal {
 public:
  Renewal(net::Loop& loop, Forwarder& forwarder, const Options& options, const Wiring& wiring,
          std::string path)
      : loop_(loop),
        forwarder_(forwarder),
        options_(options),
        wiring_(wiring),
        path_(std::move(path)) {}

  [[nodiscard]] Task<void> keep(Nanos life) {
    Nanos pause = life / 2;
    while (true) {
      const Instant asked = loop_.now();
      co_await forwarder_.until_refused(loop_.in(pause));
      co_await loop_.sleep_until(asked + kAgain);
      const auto renewed = co_await renew();
      if (renewed) {
        pause = *renewed / 2;
        told_.clear();
        continue;
      }
      const Error& why = renewed.error();
      if (why == Error::kNotFound || why == Error::kDenied) {
        say("the run is over for the gatehouse: " + why.message());
        forwarder_.give_up(why);
        co_return;
      }
      if (std::exchange(told_, why.message()) != why.message()) {
        say("the run token is not renewed, for now: " + why.message());
      }
      pause = std::clamp(Nanos(life / 8), Nanos(kAgain), Nanos(kAgainMost));
    }
  }

 private:
  [[nodiscard]] Task<Result<Nanos>> renew() {
    const Instant asked = loop_.now();
    const Api api = CO_TRY(Api::open(options_, wiring_));
    HttpReply reply = CO_TRY(co_await api.call_on(loop_, "POST", path_));
    AttachedRun given = CO_TRY(parse_attached_run(reply.body));
    wipe({reply.body.data(), reply.body.size()});
    const Nanos life = std::chrono::seconds(given.life_s);
    CO_TRY(forwarder_.use({given.gateway, given.gateway_certificate_pem}, std::move(given.token),
                          asked + life));
    co_return life;
  }

  net::Loop& loop_;
  Forwarder& forwarder_;
  const Options& options_;
  const Wiring& wiring_;
  std::string path_;
  std::string told_;  // why the last one failed
};

Task<void> wait_for(Agent* agent, net::Loop* loop, int* status) {
  *status = co_await agent->ended(loop);
  loop->stop();
}

}  // namespace

Result<int> attach(const Options& options, const Wiring& wiring) {
  // Nobody of this person's other programs, the agent among them, looks into this one (ptrace(2),
  // core(5)).
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGPIPE, SIG_IGN);
  ClientKey key = TRY(make_client_key());
  const Api api = TRY(Api::open(options, wiring));
  const std::string runs = fmt::format("/v1/tenants/{}/runs", TRY(api.tenant(options)));
  HttpReply begun = TRY(api.call("POST", runs, wish_of(options, key.thumbprint)));
  const Instant began = Instant::now();
  AttachedRun given = TRY(parse_attached_run(begun.body));
  wipe({begun.body.data(), begun.body.size()});
  const Nanos life = std::chrono::seconds(given.life_s);
  const std::string run_path = fmt::format("{}/{}", runs, TRY(RunId::parse(given.run)).text());
  int status = kNotRunStatus;
  const auto served = [&]() -> Result<void> {
    TrustFolder trust;
    TRY(trust.make(host_anchors() + "\n" + given.ca_pem));
    const auto loop = net::make_real_loop();
    Forwarder forwarder(*loop, std::move(key.identity));
    TRY(forwarder.open());
    TRY(forwarder.use({given.gateway, given.gateway_certificate_pem}, std::move(given.token),
                      began + life));
    const std::string header =
        options.form == Form::kJson
            ? told(options.form, "", {{"run", given.run}, {"trace", given.trace}})
            : fmt::format("gatehouse: run {} trace {} (attached: no sandbox)\n", given.run,
                          given.trace);
    std::fputs(header.c_str(), stderr);
    Agent agent;
    TRY(agent.start(options.command, environment_of(given, forwarder.url(), trust.bundle())));
    Renewal renewal(*loop, forwarder, options, wiring, run_path + "/token");
    net::Nursery tasks(*loop);
    tasks.spawn(renewal.keep(life));
    tasks.spawn(agent.pass_signals(loop.get()));
    tasks.spawn(wait_for(&agent, loop.get(), &status));
    loop->run();
    return {};
  }();
  const auto api_now = Api::open(options, wiring);
  const auto ended = api_now ? api_now->call("POST", run_path + "/end",
                                             fmt::format("{{\"exit_status\":{}}}", status))
                             : Result<HttpReply>(Failure(api_now.error()));
  if (!ended && ended.error() != Error::kNotFound) {
    say("the gatehouse does not know that the run has ended, and ends it by itself in a while: "
        + ended.error().message());
  }
  if (!served) return Failure(served.error());
  return status;
}

}  // namespace gatehouse::cli
