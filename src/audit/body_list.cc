// SPDX-License-Identifier: Apache-2.0
#include "audit/body_list.h"

#include <algorithm>
#include <cstring>

#include "audit/digest.h"
#include "base/check.h"

namespace gatehouse::audit {
namespace {

// The first byte of a part.
constexpr char kObject = '\0';
constexpr char kText = '\1';
constexpr std::size_t kObjectSize = 16 + 8 + 32;  // behind that byte
constexpr std::size_t kTextHead = 2;
constexpr std::uint64_t kSizeMost = (1ULL << 56) - 1;

Failure cut_short() { return failure(Error::kCorrupt, "a body's list of parts is cut short"); }

ListedPart object_part(std::string_view bytes) {
  ListedPart part;
  std::memcpy(part.object.data(), bytes.data(), part.object.size());
  std::memcpy(&part.size, bytes.data() + 16, sizeof part.size);  // little-endian, as segment.cc has
  std::memcpy(part.commitment.data(), bytes.data() + 24, part.commitment.size());
  return part;
}

}  // namespace

void append_part(std::string& list, const ListedPart& part) {
  if (part.is_text) {
    CHECK(part.text.size() <= kListedTextMost);
    list += kText;
    list += static_cast<char>(part.text.size());
    list += static_cast<char>(part.text.size() >> 8);
    list += part.text;
    return;
  }
  list += kObject;
  list.append(reinterpret_cast<const char*>(part.object.data()), part.object.size());
  list.append(reinterpret_cast<const char*>(&part.size), sizeof part.size);
  list.append(reinterpret_cast<const char*>(part.commitment.data()), part.commitment.size());
}

Result<std::vector<ListedPart>> parse_body_list(std::string_view list) {
  std::vector<ListedPart> parts;
  std::uint64_t whole = 0;
  while (!list.empty()) {
    const char kind = list[0];
    list.remove_prefix(1);
    if (kind == kObject) {
      if (list.size() < kObjectSize) return cut_short();
      parts.push_back(object_part(list));
      list.remove_prefix(kObjectSize);
    } else if (kind == kText) {
      if (list.size() < kTextHead) return cut_short();
      const std::size_t size = static_cast<std::uint8_t>(list[0])
                               | static_cast<std::size_t>(static_cast<std::uint8_t>(list[1])) << 8;
      list.remove_prefix(kTextHead);
      if (list.size() < size) return cut_short();
      parts.push_back({.size = size, .is_text = true, .text = list.substr(0, size)});
      list.remove_prefix(size);
    } else {
      return failure(Error::kCorrupt, "a body's list has a part of no known kind");
    }
    if (parts.back().size > kSizeMost - whole) {
      return failure(Error::kCorrupt, "a body's list says that it is larger than any body");
    }
    whole += parts.back().size;
  }
  return parts;
}

std::uint64_t size_of(const std::vector<ListedPart>& parts) {
  std::uint64_t sum = 0;
  for (const ListedPart& part : parts) sum += part.size;
  return sum;
}

Digest list_commitment_of(const Digest& salt, std::string_view list) {
  std::string bytes = "\2";
  const Digest digest = sha256(list);
  for (const Digest& each : {salt, digest}) {
    bytes.append(reinterpret_cast<const char*>(each.data()), each.size());
  }
  return sha256(bytes);
}

Result<std::string> read_listed(std::string_view list, BodyRange range, const ReadObject& read) {
  std::string out;
  std::uint64_t skipped = range.offset;
  for (const ListedPart& part : TRY(parse_body_list(list))) {
    if (out.size() >= range.most) break;
    if (skipped >= part.size) {
      skipped -= part.size;
      continue;
    }
    const std::size_t wanted =
        std::min<std::uint64_t>(range.most - out.size(), part.size - skipped);
    if (part.is_text) {
      out += part.text.substr(skipped, wanted);
    } else {
      out += TRY(read(part, {skipped, wanted}));
    }
    skipped = 0;
  }
  return out;
}

}  // namespace gatehouse::audit
