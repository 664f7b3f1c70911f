// SPDX-License-Identifier: Apache-2.0
#include "wire/client_hello.h"

#include <cstdint>
#include <optional>

namespace gatehouse::wire {
namespace {

constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint16_t kServerName = 0;  // the extension, and in it the type host_name
constexpr std::size_t kRecordMost = 16'384;

// Takes big-endian numbers and their counted bytes off the front; nothing when they are cut short.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  [[nodiscard]] bool empty() const { return left_.empty(); }
  std::optional<std::size_t> number(std::size_t width) {
    if (left_.size() < width) return std::nullopt;
    std::size_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      value = value << 8 | static_cast<std::uint8_t>(left_[i]);
    }
    left_.remove_prefix(width);
    return value;
  }
  std::optional<std::string_view> bytes(std::size_t count) {
    if (left_.size() < count) return std::nullopt;
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::optional<std::string_view> counted(std::size_t width) {
    const auto count = number(width);
    return count ? bytes(*count) : std::nullopt;
  }

 private:
  std::string_view left_;
};

Failure broken() { return failure(Error::kInvalid, "what came is no TLS ClientHello"); }

// What the handshake records hold, put together; `is_cut` when the last of them is not whole.
Result<std::string> handshake(std::string_view bytes, bool& is_cut) {
  std::string out;
  Reader records(bytes);
  while (!records.empty()) {
    const auto type = records.number(1);
    if (type && *type != kHandshakeRecord) return broken();
    const auto version = records.number(2);
    const auto size = records.number(2);
    if (version && *version >> 8 != 3) return broken();
    if (size && (*size == 0 || *size > kRecordMost)) return broken();
    const auto fragment = size ? records.bytes(*size) : std::nullopt;
    is_cut = !fragment;
    if (is_cut) return out;
    out += *fragment;
  }
  is_cut = false;
  return out;
}

Result<std::string> name_in(std::string_view extension) {
  Reader list(extension);
  const auto names = list.counted(2);
  if (!names || !list.empty()) return broken();
  Reader one(*names);
  while (!one.empty()) {
    const auto type = one.number(1);
    const auto name = one.counted(2);
    if (!type || !name || name->empty()) return broken();
    if (*type == kServerName) return std::string(*name);
  }
  return std::string();
}

Result<std::string> name_of_hello(std::string_view body) {
  Reader hello(body);
  const auto version = hello.number(2);
  const auto random = hello.bytes(32);
  const auto session = hello.counted(1);
  const auto suites = hello.counted(2);
  const auto compression = hello.counted(1);
  if (!version || *version >> 8 != 3 || !random || !session || !suites || !compression) {
    return broken();
  }
  if (hello.empty()) return std::string();  // TLS 1.2 without extensions
  const auto all = hello.counted(2);
  if (!all || !hello.empty()) return broken();
  Reader extensions(*all);
  std::optional<std::string> found;
  while (!extensions.empty()) {
    const auto type = extensions.number(2);
    const auto extension = extensions.counted(2);
    if (!type || !extension) return broken();
    if (*type != kServerName) continue;
    if (found) return broken();  // RFC 8446 section 4.2: once
    found = TRY(name_in(*extension));
  }
  return found.value_or("");
}

}  // namespace

Result<ClientHello> read_client_hello(std::string_view bytes) {
  if (bytes.size() > kMaxClientHello) {
    return failure(Error::kTooLarge, "a TLS ClientHello of more than 16 KiB");
  }
  bool is_cut = true;
  const std::string message = TRY(handshake(bytes, is_cut));
  Reader reader(message);
  const auto type = reader.number(1);
  if (type && *type != kClientHello) return broken();
  const auto body = reader.counted(3);
  if (!body) {
    if (bytes.size() == kMaxClientHello) {
      return failure(Error::kTooLarge, "a TLS ClientHello of more than 16 KiB");
    }
    return ClientHello{};
  }
  return ClientHello{true, TRY(name_of_hello(*body))};
}

}  // namespace gatehouse::wire
