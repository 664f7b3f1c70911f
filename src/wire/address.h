// SPDX-License-Identifier: Apache-2.0
// An IP address as 16 bytes, its text, and what kind of place it leads to. Rules of egress compare
// these bytes, never the text: 2852039166, 0xa9fe.0xa9fe and [::ffff:169.254.169.254] are one
// place.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gatehouse::wire {

class IpAddress {
 public:
  // IPv4 as dotted quad only (RFC 6943 section 3.1.1: no leading zeros, no octal, no short forms);
  // IPv6 by RFC 4291 section 2.2 without brackets and without a zone.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress v4(std::uint32_t bits);
  [[nodiscard]] static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);

  [[nodiscard]] bool is_v4() const { return v4_; }
  // Only of a v4 address.
  [[nodiscard]] std::uint32_t v4_bits() const;
  // Network order; a v4 address is mapped (::ffff:0:0/96).
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  // Dotted quad, or RFC 5952 without brackets.
  [[nodiscard]] std::string text() const;

  // The v4 address inside a v6 one: mapped (::ffff:0:0/96), compatible (::/96), translated
  // (::ffff:0:0:0/96), NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), 6to4 (2002::/16), ISATAP
  // (interface id 0:5efe or 200:5efe). Nothing for other addresses.
  [[nodiscard]] std::optional<IpAddress> embedded_v4() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool v4_ = false;
};

// What inet_aton(3) and browsers would take for an IPv4 address though it is not a dotted quad:
// decimal, octal, hexadecimal and short forms (`127.1`, `0`, `0x7f000001`). For error messages and
// audit; such a host is refused everywhere.
[[nodiscard]] std::optional<IpAddress> ipv4_in_disguise(std::string_view text);

enum class AddressClass : std::uint8_t {
  kPublic,
  kUnspecified,  // 0.0.0.0/8, ::
  kLoopback,     // 127.0.0.0/8, ::1
  kPrivate,      // RFC 1918, fc00::/7
  kLinkLocal,    // 169.254.0.0/16, fe80::/10
  kMetadata,     // the credential services of clouds, in any network
  kCgnat,        // 100.64.0.0/10
  kMulticast,    // 224.0.0.0/4, ff00::/8
  kReserved,  // documentation, benchmarks, future use, retired: the IANA special-purpose registries
};

// A v6 address that carries a v4 one has the class of that one, unless it has one of its own.
[[nodiscard]] AddressClass address_class(const IpAddress& address);
[[nodiscard]] std::string_view label(AddressClass kind);

}  // namespace gatehouse::wire
