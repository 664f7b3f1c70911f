// SPDX-License-Identifier: Apache-2.0
// Where a request goes, parsed once and then trusted: Host, Authority and Url. What cannot be read
// in exactly one way is refused, never repaired (RFC 3986, RFC 9110 section 4.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/address.h"

namespace gatehouse::wire {

enum class Scheme : std::uint8_t { kHttp, kHttps };
[[nodiscard]] std::string_view text(Scheme scheme);
[[nodiscard]] std::uint16_t default_port(Scheme scheme);

// A DNS name (lower case, no trailing dot, labels of letters, digits, - and _, at most 253 bytes),
// an IPv4 dotted quad, or an IPv6 address (in brackets in text()).
class Host {
 public:
  // An IPv6 address comes in brackets. Errors: kInvalid, for other spellings of IPv4 (the message
  // says which address it would be), zones, percent-escapes, and names that are not ASCII.
  [[nodiscard]] static Result<Host> parse(std::string_view text);
  [[nodiscard]] static Host of(const IpAddress& address);

  // Canonical, as it is sent in a Host field.
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool is_ip_literal() const { return ip_.has_value(); }
  [[nodiscard]] const std::optional<IpAddress>& ip() const { return ip_; }

  friend bool operator==(const Host&, const Host&) = default;

 private:
  std::string text_;
  std::optional<IpAddress> ip_;
};

// host[:port], without userinfo.
struct Authority {
  Host host;
  std::optional<std::uint16_t> port;

  // Errors: kInvalid, also for a port of 0, an empty port, or a port with leading zeros.
  [[nodiscard]] static Result<Authority> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::uint16_t port_or(Scheme scheme) const;
  friend bool operator==(const Authority&, const Authority&) = default;
};

// An absolute http or https URL without userinfo and fragment, at most 16 KiB.
struct Url {
  Scheme scheme = Scheme::kHttps;
  Host host;
  std::uint16_t port = 443;
  std::string path_and_query = "/";  // begins with '/'

  [[nodiscard]] static Result<Url> parse(std::string_view text);
  [[nodiscard]] std::string text() const;       // the port only where it is not the default
  [[nodiscard]] std::string origin() const;     // scheme://host[:port]
  [[nodiscard]] std::string authority() const;  // host[:port]
  friend bool operator==(const Url&, const Url&) = default;
};

// Whether `text` is a path and query as a request line may carry it: begins with '/', printable
// ASCII, no space, no fragment, no quotes or angle brackets, no backslash in the path.
[[nodiscard]] bool is_path_and_query(std::string_view text);

// `pattern` is a host in canonical form, or `*.` and a domain, which holds for any one or more
// labels before it, never for the domain itself and never for an IP literal.
[[nodiscard]] bool host_matches(std::string_view pattern, const Host& host);

// A pattern that may have a port: `*.example.com`, `example.com:8443`, `[2001:db8::1]:8443`. A port
// that cannot be read is 0, which no connection has.
struct HostPattern {
  std::string_view host;
  std::optional<std::uint16_t> port;
};
[[nodiscard]] HostPattern parts_of(std::string_view pattern);

}  // namespace gatehouse::wire
