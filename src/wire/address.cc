// SPDX-License-Identifier: Apache-2.0
#include "wire/address.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

std::optional<std::uint32_t> dotted_quad(std::string_view text) {
  std::uint32_t bits = 0;
  for (int part = 0; part < 4; ++part) {
    const std::size_t end = part < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos || end == 0 || end > 3) return std::nullopt;
    const std::string_view digits = text.substr(0, end);
    if (!all_are(kDigitChar, digits) || (end > 1 && digits[0] == '0')) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : digits) value = value * 10 + static_cast<std::uint32_t>(c - '0');
    if (value > 255) return std::nullopt;
    bits = bits << 8 | value;
    text.remove_prefix(part < 3 ? end + 1 : end);
  }
  return bits;
}

using Bytes = std::array<std::uint8_t, 16>;

void put_v4(Bytes& bytes, std::size_t at, std::uint32_t bits) {
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[at + i] = static_cast<std::uint8_t>(bits >> (24 - 8 * i));
  }
}

// The groups of one side of `::` into `out`; the number of bytes, or nothing.
std::optional<std::size_t> parse_groups(std::string_view text, Bytes& out, bool may_end_in_v4) {
  std::size_t size = 0;
  if (text.empty()) return size;
  while (true) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && may_end_in_v4 && group.contains('.')) {
      const auto bits = dotted_quad(group);
      if (!bits || size > 12) return std::nullopt;
      put_v4(out, size, *bits);
      return size + 4;
    }
    if (group.empty() || group.size() > 4 || !all_are(kHexChar, group) || size > 14) {
      return std::nullopt;
    }
    unsigned value = 0;
    for (const char c : group) value = value << 4 | hex_value(c);
    out[size] = static_cast<std::uint8_t>(value >> 8);
    out[size + 1] = static_cast<std::uint8_t>(value);
    size += 2;
    if (last) return size;
    text.remove_prefix(colon + 1);
  }
}

std::optional<Bytes> parse_v6(std::string_view text) {
  if (text.size() < 2 || text.size() > 45) return std::nullopt;
  Bytes head{};
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto size = parse_groups(text, head, true);
    if (size != 16) return std::nullopt;
    return head;
  }
  Bytes tail{};
  const auto head_size = parse_groups(text.substr(0, gap), head, false);
  const auto tail_size = parse_groups(text.substr(gap + 2), tail, true);
  if (!head_size || !tail_size || *head_size + *tail_size > 14) return std::nullopt;
  std::copy_n(tail.begin(), *tail_size, head.end() - static_cast<std::ptrdiff_t>(*tail_size));
  return head;
}

bool has_prefix(const Bytes& bytes, std::initializer_list<unsigned> groups) {
  std::size_t at = 0;
  for (const unsigned group : groups) {
    if (bytes[at] != group >> 8 || bytes[at + 1] != (group & 0xff)) return false;
    at += 2;
  }
  return true;
}

std::uint32_t v4_at(const Bytes& bytes, std::size_t at) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4; ++i) bits = bits << 8 | bytes[at + i];
  return bits;
}

constexpr std::uint32_t quad(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 24 | b << 16 | c << 8 | d;
}

struct Block {
  std::uint32_t network;
  int bits;
  AddressClass kind;
};
// The most specific first. AWS, Azure, GCP and most others; ECS and EKS; Alibaba; Oracle. Then the
// IANA IPv4 special-purpose registry.
constexpr Block kBlocks[] = {
    {quad(169, 254, 169, 254), 32, AddressClass::kMetadata},
    {quad(169, 254, 170, 2), 32, AddressClass::kMetadata},
    {quad(169, 254, 170, 23), 32, AddressClass::kMetadata},
    {quad(100, 100, 100, 200), 32, AddressClass::kMetadata},
    {quad(192, 0, 0, 192), 32, AddressClass::kMetadata},
    {quad(168, 63, 129, 16), 32, AddressClass::kMetadata},  // Azure's wire server
    {quad(0, 0, 0, 0), 8, AddressClass::kUnspecified},
    {quad(127, 0, 0, 0), 8, AddressClass::kLoopback},
    {quad(10, 0, 0, 0), 8, AddressClass::kPrivate},
    {quad(172, 16, 0, 0), 12, AddressClass::kPrivate},
    {quad(192, 168, 0, 0), 16, AddressClass::kPrivate},
    {quad(169, 254, 0, 0), 16, AddressClass::kLinkLocal},
    {quad(100, 64, 0, 0), 10, AddressClass::kCgnat},
    {quad(192, 0, 0, 0), 24, AddressClass::kReserved},
    {quad(192, 0, 2, 0), 24, AddressClass::kReserved},
    {quad(192, 88, 99, 0), 24, AddressClass::kReserved},
    {quad(198, 18, 0, 0), 15, AddressClass::kReserved},
    {quad(198, 51, 100, 0), 24, AddressClass::kReserved},
    {quad(203, 0, 113, 0), 24, AddressClass::kReserved},
    {quad(224, 0, 0, 0), 4, AddressClass::kMulticast},
    {quad(240, 0, 0, 0), 4, AddressClass::kReserved},
};

AddressClass class_of_v4(std::uint32_t bits) {
  for (const Block& block : kBlocks) {
    if ((bits ^ block.network) >> (32 - block.bits) == 0) return block.kind;
  }
  return AddressClass::kPublic;
}

bool is_v6_metadata(const Bytes& bytes) {
  return has_prefix(bytes, {0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254})
         || has_prefix(bytes, {0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023})
         || has_prefix(bytes, {0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254})
         || has_prefix(bytes, {0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe})
         || has_prefix(bytes, {0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042});
}

AddressClass class_of_v6(const Bytes& bytes) {
  if (is_v6_metadata(bytes)) return AddressClass::kMetadata;
  if (bytes[0] == 0xff) return AddressClass::kMulticast;
  if ((bytes[0] & 0xfe) == 0xfc) return AddressClass::kPrivate;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return AddressClass::kLinkLocal;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0) return AddressClass::kPrivate;  // RFC 3879
  // Outside 2000::/3 nothing is handed out; within it, the IANA IPv6 special-purpose registry.
  if ((bytes[0] & 0xe0) != 0x20) return AddressClass::kReserved;
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] < 2) return AddressClass::kReserved;
  if (has_prefix(bytes, {0x2001, 0x0db8})) return AddressClass::kReserved;
  if (bytes[0] == 0x3f && bytes[1] == 0xff && bytes[2] < 0x10) return AddressClass::kReserved;
  return AddressClass::kPublic;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (!text.contains(':')) {
    const auto bits = dotted_quad(text);
    return bits ? std::optional(v4(*bits)) : std::nullopt;
  }
  const auto bytes = parse_v6(text);
  return bytes ? std::optional(v6(*bytes)) : std::nullopt;
}

IpAddress IpAddress::v4(std::uint32_t bits) {
  IpAddress address;
  address.v4_ = true;
  address.bytes_[10] = address.bytes_[11] = 0xff;
  put_v4(address.bytes_, 12, bits);
  return address;
}

IpAddress IpAddress::v6(const Bytes& bytes) {
  IpAddress address;
  address.bytes_ = bytes;
  return address;
}

std::uint32_t IpAddress::v4_bits() const {
  CHECK(v4_);
  return v4_at(bytes_, 12);
}

std::string IpAddress::text() const {
  std::string out;
  if (v4_) {
    for (std::size_t i = 12; i < 16; ++i) {
      if (i > 12) out += '.';
      out += std::to_string(bytes_[i]);
    }
    return out;
  }
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes_[2 * i] * 256U + bytes_[2 * i + 1];
  std::size_t gap = 8;
  std::size_t gap_size = 1;  // a single zero group is not shortened (RFC 5952 section 4.2.2)
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > gap_size) {
      gap = i;
      gap_size = end - i;
    }
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == gap) {
      out += "::";
      i += gap_size;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char digits[4];
    const auto end = std::to_chars(digits, digits + 4, groups[i], 16).ptr;
    out.append(digits, end);
    ++i;
  }
  return out;
}

std::optional<IpAddress> IpAddress::embedded_v4() const {
  if (v4_) return std::nullopt;
  const auto low = [&] { return v4(v4_at(bytes_, 12)); };
  if (has_prefix(bytes_, {0, 0, 0, 0, 0, 0xffff}) || has_prefix(bytes_, {0, 0, 0, 0, 0xffff, 0})
      || has_prefix(bytes_, {0x64, 0xff9b, 0, 0, 0, 0}) || has_prefix(bytes_, {0x64, 0xff9b, 1})) {
    return low();
  }
  if (has_prefix(bytes_, {0, 0, 0, 0, 0, 0})) {
    return v4_at(bytes_, 12) > 1 ? std::optional(low()) : std::nullopt;  // :: and ::1 are their own
  }
  if (has_prefix(bytes_, {0x2002})) return v4(v4_at(bytes_, 2));
  const std::uint32_t interface = v4_at(bytes_, 8);
  if (interface == 0x5efe || interface == 0x0200'5efe) return low();
  return std::nullopt;
}

std::optional<IpAddress> ipv4_in_disguise(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 64) return std::nullopt;
  std::array<std::uint64_t, 4> parts{};
  std::size_t count = 0;
  while (true) {
    if (count == 4) return std::nullopt;
    const std::size_t dot = text.find('.');
    std::string_view part = text.substr(0, dot);
    int base = 10;
    if (part.size() >= 2 && part[0] == '0' && (part[1] | 0x20) == 'x') {
      base = 16;
      part.remove_prefix(2);
      if (part.empty()) part = "0";
    } else if (part.size() > 1 && part[0] == '0') {
      base = 8;
    }
    const char* const end = part.data() + part.size();
    const auto [at, fault] = std::from_chars(part.data(), end, parts[count], base);
    if (part.empty() || fault != std::errc{} || at != end) return std::nullopt;
    ++count;
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  std::uint64_t bits = parts[count - 1];
  if (bits >= 1ULL << (8 * (5 - count))) return std::nullopt;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    if (parts[i] > 255) return std::nullopt;
    bits |= parts[i] << (24 - 8 * i);
  }
  return IpAddress::v4(static_cast<std::uint32_t>(bits));
}

AddressClass address_class(const IpAddress& address) {
  if (address.is_v4()) return class_of_v4(address.v4_bits());
  const Bytes& bytes = address.bytes();
  if (has_prefix(bytes, {0, 0, 0, 0, 0, 0, 0, 0})) return AddressClass::kUnspecified;
  if (has_prefix(bytes, {0, 0, 0, 0, 0, 0, 0, 1})) return AddressClass::kLoopback;
  if (const auto inner = address.embedded_v4()) {
    const AddressClass kind = class_of_v4(inner->v4_bits());
    if (kind != AddressClass::kPublic) return kind;
    if (has_prefix(bytes, {0, 0, 0, 0, 0, 0xffff}) || has_prefix(bytes, {0x64, 0xff9b, 0})) {
      return AddressClass::kPublic;
    }
    if (has_prefix(bytes, {0x2002})) return AddressClass::kReserved;  // RFC 7526: deprecated
  }
  return class_of_v6(bytes);
}

std::string_view label(AddressClass kind) {
  switch (kind) {
    case AddressClass::kPublic:
      return "public";
    case AddressClass::kUnspecified:
      return "unspecified";
    case AddressClass::kLoopback:
      return "loopback";
    case AddressClass::kPrivate:
      return "private";
    case AddressClass::kLinkLocal:
      return "link_local";
    case AddressClass::kMetadata:
      return "metadata";
    case AddressClass::kCgnat:
      return "cgnat";
    case AddressClass::kMulticast:
      return "multicast";
    case AddressClass::kReserved:
      return "reserved";
  }
  return "reserved";
}

}  // namespace gatehouse::wire
