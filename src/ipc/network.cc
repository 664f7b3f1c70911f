// SPDX-License-Identifier: Apache-2.0
#include "ipc/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "wire/address.h"
#include "wire/url.h"

namespace gatehouse::ipc {
namespace {

struct Prefix {
  wire::IpAddress address;
  unsigned bits = 0;  // of the 16 bytes
};

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = wire::IpAddress::parse(text.substr(0, slash));
  if (!address) return {};
  const unsigned most = address->is_v4() ? 32 : 128;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() || bits > most) {
      return {};
    }
  }
  return Prefix{*address, bits + (128 - most)};
}

bool contains(const Prefix& prefix, const wire::IpAddress& address) {
  if (prefix.address.is_v4() != address.is_v4()) return false;
  for (unsigned bit = 0; bit < prefix.bits; bit += 8) {
    const unsigned left = std::min(8U, prefix.bits - bit);
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - left));
    const unsigned byte = bit / 8;
    if (((prefix.address.bytes()[byte] ^ address.bytes()[byte]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

bool is_named(const NetworkSpec& network, const wire::IpAddress& address) {
  return std::any_of(network.no_proxy.begin(), network.no_proxy.end(), [&](const auto& item) {
    const auto prefix = parse_prefix(item);
    return prefix && contains(*prefix, address);
  });
}

std::string proxy_of(const NetworkSpec& network) {
  if (network.proxy_host.empty()) return "";
  return fmt::format("{}:{}", network.proxy_host, network.proxy_port);
}

bool is_no_proxy(std::string_view text) {
  if (parse_prefix(text)) return true;
  const std::string_view name = text.substr(text.starts_with("*.") ? 2 : 0);
  const auto host = wire::Host::parse(name);
  return host && !host->is_ip_literal() && host->text() == name;
}

bool is_direct(const NetworkSpec& network, const std::string& host) {
  if (network.proxy_host.empty()) return true;
  if (const auto address = wire::IpAddress::parse(host)) {
    return wire::address_class(*address) == wire::AddressClass::kLoopback
           || is_named(network, *address);
  }
  const auto name = wire::Host::parse(host);
  if (!name || name->text() == "localhost") return true;
  return std::any_of(network.no_proxy.begin(), network.no_proxy.end(),
                     [&](const auto& pattern) { return wire::host_matches(pattern, *name); });
}

}  // namespace gatehouse::ipc
