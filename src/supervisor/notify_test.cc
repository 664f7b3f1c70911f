// SPDX-License-Identifier: Apache-2.0
#include "supervisor/notify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "net/descriptor.h"

namespace gatehouse::supervisor {
namespace {

// What service managers are: a datagram socket at a path, or at an abstract name ("@...").
class Manager {
 public:
  explicit Manager(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  std::string heard() {
    std::array<char, 256> text{};
    const ssize_t size = ::recv(fd_.get(), text.data(), text.size(), 0);
    return size < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(size));
  }

 private:
  net::Descriptor fd_;
};

TEST(Notifier, TellsTheSocketAtAPathAndTakesItOutOfTheEnvironment) {
  const std::string path = fmt::format("/tmp/gatehouse-notify-{}", ::getpid());
  Manager manager(path);
  const auto notifier = Notifier::from_environment();
  ASSERT_TRUE(notifier);
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_TRUE(notifier->is_wanted());
  EXPECT_TRUE(notifier->tell("READY=1\nSTATUS=open"));
  EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=open");
  ::unlink(path.c_str());
}

TEST(Notifier, TellsAnAbstractSocket) {
  Manager manager(fmt::format("@gatehouse-notify-{}", ::getpid()));
  const auto notifier = Notifier::from_environment();
  ASSERT_TRUE(notifier);
  EXPECT_TRUE(notifier->tell("STOPPING=1"));
  EXPECT_EQ(manager.heard(), "STOPPING=1");
}

TEST(Notifier, DoesNothingWhereNobodyAsked) {
  ::unsetenv("NOTIFY_SOCKET");
  const auto notifier = Notifier::from_environment();
  ASSERT_TRUE(notifier);
  EXPECT_FALSE(notifier->is_wanted());
  EXPECT_TRUE(notifier->tell("READY=1"));
}

TEST(Notifier, SaysThatNobodyListens) {
  ::setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
  const auto notifier = Notifier::from_environment();
  ASSERT_TRUE(notifier);
  EXPECT_EQ(notifier->tell("READY=1").error(), Error::kUnreachable);
}

TEST(Notifier, RefusesWhatIsNoSocketsName) {
  for (const std::string& wrong : {std::string("notify"), std::string("/"), std::string("@"),
                                   std::string(), "/" + std::string(107, 'x')}) {
    ::setenv("NOTIFY_SOCKET", wrong.c_str(), 1);
    const auto notifier = Notifier::from_environment();
    ASSERT_FALSE(notifier) << wrong;
    EXPECT_EQ(notifier.error(), Error::kInvalid);
    EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  }
}

}  // namespace
}  // namespace gatehouse::supervisor
