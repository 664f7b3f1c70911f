// SPDX-License-Identifier: Apache-2.0
// A real warden around a real program, with this test as its sandboxd: who may adopt it, and what
// it does while nobody does.
#include <signal.h>
#include <sys/un.h>

#include <memory>
#include <optional>

#include "cell.h"
#include "ipc/codec.h"
#include "sandbox/adoption.h"
#include "sandbox/warden.h"

namespace gatehouse::sandbox {
namespace {

constexpr int kSoonMs = 10'000;

struct Message {
  char kind = 0;  // 0: the line has ended
  std::string text;
  std::vector<net::Descriptor> fds;
};

// A line as sandboxd has it.
class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  void say(const std::string& word) { send(fd_.get(), word.data(), word.size(), MSG_NOSIGNAL); }
  Message hear() {
    Message message;
    std::string text(65536, '\0');
    pollfd about{fd_.get(), POLLIN, 0};
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    if (poll(&about, 1, kSoonMs) != 1) return message;
    const ssize_t got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got <= 0) return message;
    message.kind = text[0];
    message.text = text.substr(1, static_cast<std::size_t>(got) - 1);
    if (const cmsghdr* found = CMSG_FIRSTHDR(&header); found != nullptr) {
      const std::size_t count = (found->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      const int* raw = reinterpret_cast<const int*>(CMSG_DATA(found));
      for (std::size_t i = 0; i < count; ++i) message.fds.emplace_back(raw[i]);
    }
    return message;
  }

 private:
  net::Descriptor fd_;
};

class Guarded : public Cell {
 protected:
  void begin(const std::string& script, Nanos adoption_most) {
    request.argv = {"/bin/bash", "-c", script};
    auto plan = make_plan(request, host_paths());
    ASSERT_TRUE(plan) << plan.error().message();
    charge.plan = *plan;
    charge.rendezvous = directory + "/wardens.sock";
    charge.house_key = Secret::random(kHouseKeySize);
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    warden = fork();
    if (warden == 0) {
      const std::string path = std::string(getenv("GATEHOUSE_BIN")) + "/gatehouse-init";
      const int init = fcntl(open(path.c_str(), O_RDONLY), F_DUPFD_CLOEXEC, 10);
      dup2(ends[1], kWardenLine);
      if (ends[0] != kWardenLine) close(ends[0]);
      _exit(guard_sandbox(init, adoption_most));
    }
    close(ends[1]);
    line = std::make_unique<Line>(ends[0]);
    line->say(ipc::encode(charge));
    Message built = line->hear();
    ASSERT_EQ(built.kind, 'L') << built.text;
    ASSERT_EQ(built.fds.size(), kStdioAt + 4);
    input = std::move(built.fds[kStdioAt]);
    output = std::move(built.fds[kStdioAt + 1]);
    status = std::move(built.fds[kStdioAt + 3]);
    line->say("G");
  }
  void TearDown() override {
    if (warden > 0) kill(warden, SIGKILL);
    if (warden > 0) waitpid(warden, nullptr, 0);
  }

  void listen_for_wardens() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    charge.rendezvous.copy(address.sun_path, sizeof address.sun_path - 1);
    listener = net::Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener.get(), 8), 0);
  }
  Line accepted() {
    pollfd about{listener.get(), POLLIN, 0};
    EXPECT_EQ(poll(&about, 1, kSoonMs), 1) << "it knocks";
    return Line(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // What it reports to who has that key; what it says instead where it says something else.
  Message meet(Line& with, const Secret& key) {
    Meeting meeting{fresh_number(), ""};
    with.say("N" + meeting.of_sandboxd);
    const Message answer = with.hear();
    EXPECT_EQ(answer.kind, 'W');
    meeting.of_warden = answer.text.substr(0, kNumberSize);
    EXPECT_EQ(is_proof(answer.text.substr(kNumberSize), "warden", key, meeting),
              key == charge.house_key);
    with.say("S" + proof_of("sandboxd", key, meeting));
    return with.hear();
  }

  [[nodiscard]] bool speaks(int within_ms) const {
    pollfd about{output.get(), POLLIN, 0};
    std::array<char, 65536> drop;
    const bool is_there = poll(&about, 1, within_ms) == 1 && (about.revents & POLLIN) != 0;
    if (is_there) EXPECT_GT(read(output.get(), drop.data(), drop.size()), 0);
    return is_there;
  }
  // Says nothing more, after what was under way.
  [[nodiscard]] bool falls_silent() const {
    for (int tries = 0; tries < 50; ++tries) {
      if (!speaks(300)) return true;
    }
    return false;
  }
  // As its asker is told it; empty while it is not.
  [[nodiscard]] std::optional<int> told_status(int within_ms = kSoonMs) const {
    pollfd about{status.get(), POLLIN, 0};
    std::array<unsigned char, 4> bytes{};
    if (poll(&about, 1, within_ms) != 1 || read(status.get(), bytes.data(), 4) != 4) return {};
    return bytes[0] | bytes[1] << 8;
  }
  void has_left_nothing() {
    EXPECT_EQ(waitpid(warden, nullptr, 0), warden);
    warden = -1;
    EXPECT_TRUE(host::Cgroup::clear_left(host::kRootCgroups, request.run.run.text()));
  }

  Charge charge;
  pid_t warden = -1;
  std::unique_ptr<Line> line;
  net::Descriptor input;
  net::Descriptor output;
  net::Descriptor status;
  net::Descriptor listener;
};

constexpr const char* kTicks = "while true; do echo tick; sleep 0.02; done";

TEST_F(Guarded, GoesOnAndIsAdoptedAsWhatItWas) {
  begin("while true; do echo tick; read -t 0.02 line && exit 5; done", 30s);
  listen_for_wardens();
  line.reset();
  Line next = accepted();
  EXPECT_TRUE(speaks(kSoonMs)) << "nobody has adopted it yet";
  const Message again = meet(next, charge.house_key);
  ASSERT_EQ(again.kind, 'L') << again.text;
  EXPECT_EQ(again.fds.size(), kStdioAt);
  const auto report = ipc::decode<Report>(again.text);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->run.run, request.run.run);
  EXPECT_FALSE(report->is_stopped);
  EXPECT_FALSE(report->has_ended);
  EXPECT_TRUE(speaks(kSoonMs));
  ASSERT_EQ(write(input.get(), "\n", 1), 1);
  const Message end = next.hear();
  EXPECT_EQ(end.kind, 'X');
  EXPECT_EQ(end.text, "5");
  EXPECT_FALSE(told_status(200)) << "its asker is told when everybody else is";
  next.say("D");
  EXPECT_EQ(told_status(), 5);
  has_left_nothing();
}

TEST_F(Guarded, TellsAnEndThatNobodySaw) {
  begin("exit 6", 30s);
  ASSERT_EQ(line->hear().kind, 'X');
  listen_for_wardens();
  line.reset();  // and with it the only one who knew
  Line next = accepted();
  const Message again = meet(next, charge.house_key);
  ASSERT_EQ(again.kind, 'L');
  EXPECT_TRUE(ipc::decode<Report>(again.text)->has_ended);
  EXPECT_EQ(next.hear().text, "6");
  next.say("D");
  EXPECT_EQ(told_status(), 6);
  has_left_nothing();
}

TEST_F(Guarded, HandsNothingToWhoHasAnotherKeyAndEndsAtTheBound) {
  begin(kTicks, 1s);
  listen_for_wardens();
  line.reset();
  const Secret other = Secret::random(kHouseKeySize);
  Line stranger = accepted();
  EXPECT_EQ(meet(stranger, other).kind, 0) << "the line is closed";
  Line silent = accepted();
  EXPECT_EQ(silent.hear().kind, 0) << "and of who says nothing, at the bound";
  EXPECT_EQ(told_status(), 128 + SIGKILL);
  has_left_nothing();
}

TEST_F(Guarded, IsFrozenWhileThereIsNoHouseAndGoesOnWhenItIsLetGo) {
  begin(kTicks, 30s);
  EXPECT_TRUE(speaks(kSoonMs));
  line.reset();
  EXPECT_TRUE(falls_silent());
  listen_for_wardens();
  Line next = accepted();
  const Message again = meet(next, charge.house_key);
  ASSERT_EQ(again.kind, 'L');
  const auto report = ipc::decode<Report>(again.text);
  EXPECT_TRUE(report->is_stopped);
  EXPECT_FALSE(speaks(300)) << "adopted, and not let go yet";
  const std::string_view word = report->freezer == ipc::Freezer::kV1 ? "THAWED" : "0";
  ASSERT_GT(write(again.fds[kFreezeAt].get(), word.data(), word.size()), 0);
  EXPECT_TRUE(speaks(kSoonMs));
}

TEST_F(Guarded, EndsAtTheBoundWithoutAHouse) {
  begin(kTicks, 500ms);
  line.reset();
  EXPECT_EQ(told_status(), 128 + SIGKILL);
  has_left_nothing();
}

TEST_F(Guarded, EndsWhenWhoStartedItHasGoneThoughItIsFrozen) {
  begin(kTicks, 30s);
  line.reset();
  EXPECT_TRUE(falls_silent());
  status.reset();
  has_left_nothing();
}

}  // namespace
}  // namespace gatehouse::sandbox
