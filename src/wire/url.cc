// SPDX-License-Identifier: Apache-2.0
#include "wire/url.h"

#include <charconv>

#include "base/encoding.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxName = 253;  // RFC 1035 section 2.3.4, as text
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxUrl = 16 * 1024;

Failure bad_host(std::string_view text, std::string_view why) {
  return failure(Error::kInvalid,
                 "host '" + printable(text.substr(0, 100)) + "': " + std::string(why));
}

bool is_label_char(char c) {
  return is(kDigitChar, c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

// What the WHATWG URL standard calls "ends in a number": such a name is meant as IPv4.
bool ends_in_a_number(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  if (all_are(kDigitChar, last)) return true;
  return last.starts_with("0x") && all_are(kHexChar, last.substr(2).empty() ? "0" : last.substr(2));
}

Result<std::string> dns_name(std::string_view text) {
  std::string_view rest = text;
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (rest.empty()) return bad_host(text, "is empty");
  if (rest.size() > kMaxName) return bad_host(text, "is longer than 253 bytes");
  std::string name;
  name.reserve(rest.size());
  std::size_t label_size = 0;
  for (const char raw : rest) {
    const char c = lowered(raw);
    if (c == '.') {
      if (label_size == 0) return bad_host(text, "has an empty label");
      label_size = 0;
    } else if (!is_label_char(c)) {
      return bad_host(text, "has a character that no host name has");
    } else if (++label_size > kMaxLabel) {
      return bad_host(text, "has a label longer than 63 bytes");
    }
    name += c;
  }
  if (label_size == 0) return bad_host(text, "has an empty label");
  return name;
}

}  // namespace

std::string_view text(Scheme scheme) { return scheme == Scheme::kHttps ? "https" : "http"; }
std::uint16_t default_port(Scheme scheme) { return scheme == Scheme::kHttps ? 443 : 80; }

Result<Host> Host::parse(std::string_view text) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return bad_host(text, "has no closing bracket");
    const auto address = IpAddress::parse(text.substr(1, text.size() - 2));
    if (!address || address->is_v4()) {
      return bad_host(text, "is not an IPv6 address (zones are not allowed)");
    }
    return of(*address);
  }
  Host host;
  host.text_ = TRY(dns_name(text));
  if (!ends_in_a_number(host.text_)) return host;
  host.ip_ = IpAddress::parse(host.text_);
  if (host.ip_) return host;
  if (const auto hidden = ipv4_in_disguise(host.text_)) {
    return bad_host(text, "is another spelling of " + hidden->text() + " (class "
                              + std::string(label(address_class(*hidden)))
                              + "); write the dotted quad");
  }
  return bad_host(text, "ends in a number but is not an IPv4 address");
}

Host Host::of(const IpAddress& address) {
  Host host;
  host.text_ = address.is_v4() ? address.text() : "[" + address.text() + "]";
  host.ip_ = address;
  return host;
}

Result<Authority> Authority::parse(std::string_view text) {
  if (text.contains('@')) {
    return failure(Error::kInvalid, "an authority with userinfo ('@') is refused");
  }
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  Authority authority{TRY(Host::parse(text.substr(0, colon))), std::nullopt};
  if (colon == std::string_view::npos) return authority;
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [at, fault] = std::from_chars(digits.data(), end, port);
  if (fault != std::errc{} || at != end || digits.empty() || digits[0] == '0') {
    return failure(Error::kInvalid, "port '" + printable(digits.substr(0, 20))
                                        + "' is not a number between 1 and 65535");
  }
  authority.port = port;
  return authority;
}

std::string Authority::text() const {
  return port ? host.text() + ":" + std::to_string(*port) : host.text();
}

std::uint16_t Authority::port_or(Scheme scheme) const {
  return port ? *port : default_port(scheme);
}

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrl) return failure(Error::kTooLarge, "the URL is longer than 16 KiB");
  Url url;
  std::size_t begin = 0;
  if (equal_ignoring_case(text.substr(0, 7), "http://")) {
    url.scheme = Scheme::kHttp;
    begin = 7;
  } else if (equal_ignoring_case(text.substr(0, 8), "https://")) {
    begin = 8;
  } else {
    return failure(Error::kInvalid, "a URL begins with http:// or https://");
  }
  const std::size_t path = text.find_first_of("/?#", begin);
  const Authority authority = TRY(Authority::parse(text.substr(begin, path - begin)));
  url.host = authority.host;
  url.port = authority.port_or(url.scheme);
  if (path == std::string_view::npos) return url;
  url.path_and_query = text.substr(path);
  if (!is_path_and_query(url.path_and_query)) {
    return failure(Error::kInvalid,
                   "the path of the URL has characters that must be percent-encoded, or a "
                   "fragment, or does not begin with '/'");
  }
  return url;
}

std::string Url::authority() const {
  std::string out = host.text();
  if (port != default_port(scheme)) out += ":" + std::to_string(port);
  return out;
}
std::string Url::origin() const { return std::string(wire::text(scheme)) + "://" + authority(); }
std::string Url::text() const { return origin() + path_and_query; }

bool is_path_and_query(std::string_view text) {
  return text.starts_with('/') && all_are(kTargetChar, text)
         && !text.substr(0, text.find('?')).contains('\\');
}

bool host_matches(std::string_view pattern, const Host& host) {
  if (!pattern.starts_with("*.")) return pattern == host.text();
  const std::string_view domain = pattern.substr(1);  // with its dot
  return !host.is_ip_literal() && host.text().size() > domain.size()
         && host.text().ends_with(domain);
}

HostPattern parts_of(std::string_view pattern) {
  const std::size_t colon = pattern.rfind(':');
  const std::size_t bracket = pattern.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && bracket > colon)) {
    return {pattern, std::nullopt};
  }
  const std::string_view digits = pattern.substr(colon + 1);
  std::uint16_t port = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool whole = read.ec == std::errc() && read.ptr == digits.data() + digits.size();
  return {pattern.substr(0, colon), whole ? port : std::uint16_t{0}};
}

}  // namespace gatehouse::wire
