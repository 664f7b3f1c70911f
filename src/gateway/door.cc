// SPDX-License-Identifier: Apache-2.0
#include "gateway/door.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "audit/digest.h"
#include "base/encoding.h"
#include "base/find.h"

namespace gatehouse::gateway {
namespace {

constexpr std::uint32_t kFirstV4 = 0xc6120000;    // 198.18.0.0
constexpr std::uint32_t kAddressesV4 = 1U << 17;  // a /15
constexpr std::size_t kNamesMost = 65'536;
constexpr std::array<std::uint8_t, 8> kPrefixV6 = {0xfd, 0x67, 0x61, 0x74, 0x65, 0x68, 0, 0};

using Placeholders = std::span<const ipc::Placeholder>;

// As it is. What they begin with is looked for once, and is seldom there.
const ipc::Placeholder* first_in(std::string_view text, Placeholders placeholders) {
  const bool has_prefix = is_in(text, ipc::kPlaceholderPrefix);
  for (const ipc::Placeholder& placeholder : placeholders) {
    const bool may_be = has_prefix || !placeholder.text.starts_with(ipc::kPlaceholderPrefix);
    if (may_be && is_in(text, placeholder.text)) return &placeholder;
  }
  return nullptr;
}

// As it is, in a Basic credential, or percent-encoded.
const ipc::Placeholder* first_held(std::string_view text, Placeholders placeholders) {
  if (const auto* found = first_in(text, placeholders)) return found;
  if (text.size() > 6 && wire::equal_ignoring_case(text.substr(0, 6), "basic ")) {
    const auto decoded = from_base64(wire::trimmed(text.substr(6)));
    const auto* found = decoded ? first_in(*decoded, placeholders) : nullptr;
    if (found != nullptr) return found;
  }
  if (!text.contains('%')) return nullptr;
  const auto decoded = percent_decoded(text);
  return decoded ? first_in(*decoded, placeholders) : nullptr;
}

}  // namespace

bool holds(std::string_view text, const ipc::Placeholder& placeholder) {
  return first_held(text, {&placeholder, 1}) != nullptr;
}

std::string Door::headers() const {
  return fmt::format("x-gatehouse-run: {}\r\nx-gatehouse-trace: {}\r\n", run_text, trace_text);
}

const ipc::Placeholder* Door::placeholder_in(std::string_view text) const {
  return first_held(text, placeholders);
}

const ipc::Placeholder* Door::placeholder_in(const wire::RequestHead& head) const {
  for (const wire::Header header : head.headers) {
    if (const ipc::Placeholder* found = placeholder_in(header.value)) return found;
  }
  return placeholder_in(head.target);
}

bool Door::holds_foreign(std::string_view text) const {
  constexpr std::string_view kPrefix = ipc::kPlaceholderPrefix;
  constexpr std::size_t kRandom = 22;  // base64url of 128 bits
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (!is_in(text, kPrefix)) return false;
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

SyntheticNames::Pair SyntheticNames::addresses_of(std::string_view name) const {
  const audit::Digest digest = audit::sha256(run_.text() + '\n' + std::string(name));
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | digest[i];
  std::array<std::uint8_t, 16> v6{};
  for (std::size_t i = 0; i < 8; ++i) {
    v6[i] = kPrefixV6[i];
    v6[8 + i] = digest[8 + i];
  }
  // Neither the first nor the last: some systems take them for no host.
  return {wire::IpAddress::v4(kFirstV4 + 1 + number % (kAddressesV4 - 2)), wire::IpAddress::v6(v6)};
}

bool SyntheticNames::stands_for(const wire::IpAddress& address, std::string_view name) const {
  const Pair pair = addresses_of(name);
  return address == pair.v4 || address == pair.v6;
}

bool SyntheticNames::is_synthetic(const wire::IpAddress& address) {
  if (address.is_v4()) return address.v4_bits() - kFirstV4 < kAddressesV4;
  return std::equal(kPrefixV6.begin(), kPrefixV6.end(), address.bytes().begin());
}

void SyntheticNames::answered(std::string_view name) {
  const Pair pair = addresses_of(name);
  for (const wire::IpAddress& address : {pair.v4, pair.v6}) {
    if (name_of_.size() >= kNamesMost) return;
    const auto [found, is_new] = name_of_.try_emplace(address.text(), name);
    if (!is_new && found->second != name) found->second.clear();
  }
}

std::optional<std::string> SyntheticNames::name_of(const wire::IpAddress& address) const {
  const auto found = name_of_.find(address.text());
  if (found == name_of_.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

}  // namespace gatehouse::gateway
