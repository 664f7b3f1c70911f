// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace gatehouse::cli {
namespace {

constexpr std::size_t kSecretMost = 48 * 1024;
constexpr std::array<int, 4> kEnding = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// For the signal handlers: what the terminal was, and that its size changed.
termios g_before{};
volatile std::sig_atomic_t g_is_changed = 0;
volatile std::sig_atomic_t g_resized = 0;

void restore_and_die(int signal_number) {
  if (g_is_changed != 0) tcsetattr(STDIN_FILENO, TCSANOW, &g_before);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}
void note_resize(int) { g_resized = 1; }

void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  sigaction(signal_number, &action, nullptr);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, -1);
      continue;
    }
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// One direction: what can be read at `from` goes to `to`.
struct Pipe {
  int from = -1;
  int to = -1;
  bool is_open = true;

  // Ends at the end of `from` (EIO: that of a PTY) or when `to` takes nothing any more.
  void move() {
    std::array<char, 16 * 1024> bytes{};
    const ssize_t n = read(from, bytes.data(), bytes.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    is_open = n > 0 && write_all(to, {bytes.data(), static_cast<std::size_t>(n)});
  }
};

// The command's input. It never waits for the command to take it: what the command writes meanwhile
// must be taken from it too.
struct Feed {
  int from = -1;
  int to = -1;
  bool is_open = true;
  std::string held = {};

  [[nodiscard]] bool wants_more() const { return held.empty(); }
  void read_more() {
    std::array<char, 16 * 1024> bytes{};
    const ssize_t n = read(from, bytes.data(), bytes.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) is_open = false;
    if (n > 0) held.assign(bytes.data(), static_cast<std::size_t>(n));
    if (n > 0) pass_on();
  }
  void pass_on() {
    const ssize_t n = write(to, held.data(), held.size());
    if (n > 0) held.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) is_open = false;
  }
};

void pass_window_size(int pty) {
  winsize size{};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ioctl(pty, TIOCSWINSZ, &size);
}

// Four bytes, little-endian, then the end.
Result<std::int32_t> read_status(int fd) {
  std::array<unsigned char, 4> bytes{};
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = read(fd, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return failure(Error::kUnavailable,
                     "the run ended without telling how; `gatehouse runs` "
                     "and the log say more");
    }
    have += static_cast<std::size_t>(n);
  }
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value |= static_cast<std::uint32_t>(bytes.at(i)) << (8 * i);
  }
  return static_cast<std::int32_t>(value);
}

}  // namespace

TerminalGuard::TerminalGuard(TerminalMode mode) {
  termios now{};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  before_ = now;
  g_before = now;
  g_is_changed = 1;
  for (const int number : kEnding) handle(number, restore_and_die);
  if (mode == TerminalMode::kRaw) {
    cfmakeraw(&now);
  } else {
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  }
  tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

TerminalGuard::~TerminalGuard() {
  if (!before_) return;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &*before_);
  g_is_changed = 0;
  for (const int number : kEnding) handle(number, SIG_DFL);
}

Window window() {
  winsize size{};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

Result<Secret> read_secret(std::string_view prompt) {
  std::array<char, kSecretMost> text{};
  std::size_t size = 0;
  {
    const TerminalGuard guard(TerminalMode::kNoEcho);
    if (isatty(STDIN_FILENO) != 0) write_all(STDERR_FILENO, prompt);
    while (size < text.size()) {
      const ssize_t n = read(STDIN_FILENO, text.data() + size, 1);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || text.at(size) == '\n') break;
      ++size;
    }
  }
  if (isatty(STDIN_FILENO) != 0) write_all(STDERR_FILENO, "\n");
  while (size > 0 && (text.at(size - 1) == '\r' || text.at(size - 1) == ' ')) --size;
  Secret secret(std::string_view(text.data(), size));
  wipe(text);
  if (secret.empty()) return failure(Error::kInvalid, "nothing was given; nothing is stored");
  if (size == kSecretMost) return failure(Error::kTooLarge, "that is too long for a key");
  return secret;
}

Result<std::int32_t> relay(std::vector<net::Descriptor> fds, bool pty) {
  if (fds.size() != (pty ? 2U : 4U)) {
    return failure(Error::kUnavailable, "the gatehouse sent other descriptors than it should");
  }
  signal(SIGPIPE, SIG_IGN);
  std::optional<TerminalGuard> guard;
  if (pty) {
    guard.emplace(TerminalMode::kRaw);
    handle(SIGWINCH, note_resize);
    pass_window_size(fds[0].get());
  }
  const net::Descriptor status = std::move(fds.back());
  Feed in{STDIN_FILENO, fds[0].get()};
  fcntl(fds[0].get(), F_SETFL, fcntl(fds[0].get(), F_GETFL) | O_NONBLOCK);
  Pipe out{pty ? fds[0].get() : fds[1].get(), STDOUT_FILENO};
  Pipe error{pty ? -1 : fds[2].get(), STDERR_FILENO, !pty};
  std::optional<Result<std::int32_t>> ended;
  // After the end, what was written before it is still taken out of the pipes; a process that was
  // left behind and keeps them open is not waited for.
  while (out.is_open || error.is_open || !ended) {
    const bool feeds = in.is_open && !ended;
    std::array<pollfd, 5> waits = {{{feeds && in.wants_more() ? in.from : -1, POLLIN, 0},
                                    {out.is_open ? out.from : -1, POLLIN, 0},
                                    {error.is_open ? error.from : -1, POLLIN, 0},
                                    {ended ? -1 : status.get(), POLLIN, 0},
                                    {feeds && !in.wants_more() ? in.to : -1, POLLOUT, 0}}};
    const int ready = poll(waits.data(), waits.size(), ended ? 200 : -1);
    if (g_resized != 0 && pty) {
      g_resized = 0;
      pass_window_size(fds[0].get());
    }
    if (ready == 0) break;
    if (ready < 0) continue;
    if (waits[1].revents != 0) out.move();
    if (waits[2].revents != 0) error.move();
    // What nobody reads any more, the command learns by SIGPIPE.
    if (!out.is_open && !pty) fds[1].reset();
    if (!error.is_open && !pty) fds[2].reset();
    if (waits[0].revents != 0) in.read_more();
    if (waits[4].revents != 0) in.pass_on();
    if (!in.is_open && !pty) fds[0].reset();
    if (waits[3].revents != 0) ended = read_status(status.get());
  }
  return *ended;
}

}  // namespace gatehouse::cli
