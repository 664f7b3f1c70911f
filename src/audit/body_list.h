// SPDX-License-Identifier: Apache-2.0
// A body by what it is made of. Of a conversation that grows, nearly all is in the log already when
// it is said again: such a body is a list of bodies, each named as an Entry names one, and of the
// bytes between them. A list names no list. docs/formats/audit.md describes the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::audit {

struct ListedPart {
  ObjectId object{};       // the body that says it; nothing where `text` does
  std::uint64_t size = 0;  // in bytes
  Digest commitment{};     // of that body
  bool is_text = false;
  std::string_view text;  // at most 64 KiB less one byte; a view of the list
};

inline constexpr std::size_t kListedTextMost = 0xffff;

void append_part(std::string& list, const ListedPart& part);
// Errors: kCorrupt: it is cut short, has a part of no known kind, or is of 2^56 bytes or more.
[[nodiscard]] Result<std::vector<ListedPart>> parse_body_list(std::string_view list);
[[nodiscard]] std::uint64_t size_of(const std::vector<ListedPart>& parts);

// What an Entry says of a body that is a list: SHA-256(0x02 || salt || SHA-256(list)), which is no
// commitment of a body that is none.
[[nodiscard]] Digest list_commitment_of(const Digest& salt, std::string_view list);

// A part of a body.
struct BodyRange {
  std::uint64_t offset = 0;
  std::size_t most = 0;
};
// Reads of a body that the list names. Errors: kCorrupt when it is not of that size.
using ReadObject = std::function<Result<std::string>(const ListedPart&, BodyRange)>;
// That part of what the list says. Errors: kCorrupt; those of `read`.
[[nodiscard]] Result<std::string> read_listed(std::string_view list, BodyRange range,
                                              const ReadObject& read);

}  // namespace gatehouse::audit
