// SPDX-License-Identifier: Apache-2.0
#include "gateway/door.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"

namespace gatehouse::gateway {
namespace {

constexpr std::uint32_t kFirstV4 = 0xc6120000;  // 198.18.0.0
constexpr std::size_t kNamesMost = 65'536;
constexpr std::array<std::uint8_t, 8> kPrefixV6 = {0xfd, 0x67, 0x61, 0x74, 0x65, 0x68, 0, 0};

wire::IpAddress v6_of(std::uint32_t number) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < kPrefixV6.size(); ++i) bytes[i] = kPrefixV6[i];
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  }
  return wire::IpAddress::v6(bytes);
}

// Tokens are renewed by the hour: these are a day's.
constexpr std::size_t kLeasedMost = 24;

}  // namespace

bool holds(std::string_view text, const ipc::Placeholder& placeholder) {
  if (text.contains(placeholder.text)) return true;
  if (text.size() > 6 && wire::equal_ignoring_case(text.substr(0, 6), "basic ")) {
    const auto decoded = from_base64(wire::trimmed(text.substr(6)));
    if (decoded && decoded->contains(placeholder.text)) return true;
  }
  if (text.contains('%')) {
    const auto decoded = percent_decoded(text);
    if (decoded && decoded->contains(placeholder.text)) return true;
  }
  return false;
}

std::string Door::headers() const {
  return fmt::format("x-gatehouse-run: {}\r\nx-gatehouse-trace: {}\r\n", run.run.text(),
                     run.trace.text());
}

const ipc::Placeholder* Door::placeholder_in(std::string_view text) const {
  for (const ipc::Placeholder& placeholder : placeholders) {
    if (holds(text, placeholder)) return &placeholder;
  }
  return nullptr;
}

const ipc::Placeholder* Door::placeholder_in(const wire::RequestHead& head) const {
  for (const wire::Header header : head.headers) {
    if (const ipc::Placeholder* found = placeholder_in(header.value)) return found;
  }
  return placeholder_in(head.target);
}

bool Door::holds_foreign(std::string_view text) const {
  constexpr std::string_view kPrefix = "ghph_";
  constexpr std::size_t kRandom = 22;  // base64url of 128 bits
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (std::size_t at = text.find(kPrefix); at != std::string_view::npos;
       at = text.find(kPrefix, at + 1)) {
    const std::string_view found = text.substr(at, kPrefix.size() + kRandom);
    if (found.size() < kPrefix.size() + kRandom
        || found.find_first_not_of(kAlphabet) != std::string_view::npos) {
      continue;
    }
    if (std::none_of(placeholders.begin(), placeholders.end(),
                     [found](const auto& mine) { return mine.text == found; })) {
      return true;
    }
  }
  return false;
}

void Door::remember(const std::string& upstream_host, const Secret& value) {
  std::vector<Secret>& values = leased[upstream_host];
  for (const Secret& known : values) {
    if (known == value) return;
  }
  if (values.size() >= kLeasedMost) values.erase(values.begin());
  values.push_back(value.duplicate(Purpose::kCompare));
}

std::optional<SyntheticNames::Pair> SyntheticNames::addresses_of(const std::string& name) {
  const auto found = number_of_.find(name);
  std::uint32_t number = 0;
  if (found != number_of_.end()) {
    number = found->second;
  } else {
    if (names_.size() >= kNamesMost) return std::nullopt;
    names_.push_back(name);
    number = static_cast<std::uint32_t>(names_.size());  // from 1: .0 is no host
    number_of_[name] = number;
  }
  return Pair{wire::IpAddress::v4(kFirstV4 + number), v6_of(number)};
}

std::optional<std::string> SyntheticNames::name_of(const wire::IpAddress& address) const {
  std::uint32_t number = 0;
  if (address.is_v4()) {
    number = address.v4_bits() - kFirstV4;
  } else {
    const auto& bytes = address.bytes();
    for (std::size_t i = 0; i < 4; ++i) number = number << 8 | bytes[12 + i];
    if (v6_of(number) != address) return std::nullopt;
  }
  if (number == 0 || number > names_.size()) return std::nullopt;
  return names_[number - 1];
}

}  // namespace gatehouse::gateway
