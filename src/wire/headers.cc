// SPDX-License-Identifier: Apache-2.0
#include "wire/headers.h"

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"

namespace gatehouse::wire {

Result<HeaderName> HeaderName::parse(std::string_view text) {
  if (text.empty() || !all_are(kTokenChar, text)) {
    return failure(Error::kInvalid, "'" + printable(text.substr(0, 64)) + "' is not a header name");
  }
  return HeaderName(Parsed{}, text);
}

Header Headers::operator[](std::size_t at) const {
  CHECK(at < fields_.size());
  const Field& field = fields_[at];
  return {name_of(field), std::string_view(arena_).substr(field.value_at, field.value_size)};
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Header header : *this) {
    if (equal_ignoring_case(header.name, name)) return header.value;
  }
  return std::nullopt;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Header header : *this) {
    if (equal_ignoring_case(header.name, name)) values.push_back(header.value);
  }
  return values;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields_, [&](const Field& field) { return equal_ignoring_case(name_of(field), name); }));
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (const Header header : *this) {
    if (!equal_ignoring_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (true) {
      const std::size_t comma = rest.find(',');
      if (equal_ignoring_case(trimmed(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

Headers::Field Headers::stored(std::string_view name, std::string_view value) {
  const std::size_t at = arena_.size();
  CHECK(at + name.size() + value.size() < (1ULL << 31));
  // Name and value may be views of our own arena, so the old one must outlive the copy.
  const std::size_t needed = at + name.size() + value.size();
  if (arena_.capacity() < needed) {
    std::string grown;
    grown.reserve(std::max(needed, 2 * arena_.capacity()));
    grown.append(arena_).append(name).append(value);
    arena_.swap(grown);
  } else {
    arena_.append(name).append(value);
  }
  return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(name.size()),
          static_cast<std::uint32_t>(at + name.size()), static_cast<std::uint32_t>(value.size())};
}

void Headers::add(HeaderName name, std::string_view value) {
  fields_.push_back(stored(name.text(), value));
}

void Headers::set(HeaderName name, std::string_view value) {
  const Field fresh = stored(name.text(), value);
  const auto is_named = [&](const Field& field) {
    return equal_ignoring_case(name_of(field), name.text());
  };
  const auto first = std::ranges::find_if(fields_, is_named);
  if (first == fields_.end()) {
    fields_.push_back(fresh);
    return;
  }
  *first = fresh;
  fields_.erase(std::remove_if(first + 1, fields_.end(), is_named), fields_.end());
}

std::size_t Headers::remove(std::string_view name) {
  return std::erase_if(
      fields_, [&](const Field& field) { return equal_ignoring_case(name_of(field), name); });
}

void Headers::clear() {
  arena_.clear();
  fields_.clear();
}

void remove_hop_by_hop(Headers& headers) {
  std::vector<std::string> named;
  for (const std::string_view value : headers.all("connection")) {
    std::size_t at = 0;
    while (at <= value.size()) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      named.emplace_back(trimmed(value.substr(at, comma - at)));
      at = comma + 1;
    }
  }
  for (const std::string& name : named) {
    if (equal_ignoring_case(name, "host") || equal_ignoring_case(name, "content-length")) continue;
    headers.remove(name);
  }
  for (const std::string_view name :
       {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
        "te", "trailer", "transfer-encoding", "upgrade"}) {
    headers.remove(name);
  }
}

}  // namespace gatehouse::wire
