// SPDX-License-Identifier: Apache-2.0
#include "wire/client_hello.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

std::string number(std::size_t value, std::size_t width) {
  std::string out;
  for (std::size_t i = width; i > 0; --i) out += static_cast<char>(value >> (8 * (i - 1)) & 0xff);
  return out;
}
std::string counted(std::string_view bytes, std::size_t width) {
  return number(bytes.size(), width) + std::string(bytes);
}
std::string server_name(std::string_view name) {
  return number(0, 2) + counted(counted(number(0, 1) + counted(name, 2), 2), 2);
}
std::string message(std::string_view extensions) {
  const std::string body = number(0x0303, 2) + std::string(32, 'r') + counted("session", 1)
                           + counted(number(0x1301, 2), 2) + counted(number(0, 1), 1)
                           + counted(extensions, 2);
  return number(1, 1) + counted(body, 3);
}
std::string record(std::string_view fragment) {
  return number(22, 1) + number(0x0301, 2) + counted(fragment, 2);
}

TEST(ClientHello, NamesTheServerThatIsAskedFor) {
  const std::string other = number(43, 2) + counted("\x02\x03\x04", 2);
  for (const std::string& extensions :
       {server_name("a.example.com"), other + server_name("a.example.com") + other}) {
    const auto hello = read_client_hello(record(message(extensions)));
    ASSERT_TRUE(hello) << hello.error().message();
    EXPECT_TRUE(hello->is_whole);
    EXPECT_EQ(hello->server_name, "a.example.com");
  }
}

TEST(ClientHello, IsReadOverSeveralRecordsAndFromEveryBeginning) {
  const std::string text = message(server_name("a.example.com"));
  std::string all;
  for (std::size_t at = 0; at < text.size(); at += 7) all += record(text.substr(at, 7));
  for (std::size_t cut = 0; cut < all.size(); ++cut) {
    const auto part = read_client_hello(std::string_view(all).substr(0, cut));
    ASSERT_TRUE(part) << cut << ": " << part.error().message();
    EXPECT_FALSE(part->is_whole) << cut;
  }
  EXPECT_EQ(read_client_hello(all)->server_name, "a.example.com");
}

TEST(ClientHello, MayNameNobody) {
  const auto hello = read_client_hello(record(message("")));
  ASSERT_TRUE(hello && hello->is_whole);
  EXPECT_EQ(hello->server_name, "");
}

TEST(ClientHello, IsRefusedWhereItIsNone) {
  const std::string twice = server_name("a.test") + server_name("b.test");
  const std::string longer = number(0, 2) + counted(counted(number(0, 1) + number(9, 2), 2), 2);
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n"), record(message(twice)), record(message(longer)),
        record(number(2, 1) + counted("server", 3)), number(22, 1) + number(0x0501, 2),
        number(22, 1) + number(0x0301, 2) + number(0, 2), record(message(server_name("")))}) {
    const auto hello = read_client_hello(bytes);
    ASSERT_FALSE(hello);
    EXPECT_EQ(hello.error(), Error::kInvalid);
  }
}

TEST(ClientHello, IsBounded) {
  std::string endless;
  while (endless.size() < kMaxClientHello) {
    endless +=
        record(endless.empty() ? number(1, 1) + number(0xffffff, 3) : std::string(4000, 'x'));
  }
  endless.resize(kMaxClientHello);
  EXPECT_EQ(read_client_hello(endless).error(), Error::kTooLarge);
  endless.resize(kMaxClientHello - 1);
  EXPECT_TRUE(read_client_hello(endless));
}

}  // namespace
}  // namespace gatehouse::wire
