// SPDX-License-Identifier: Apache-2.0
// The bytes of a segment, both ways, without I/O. docs/formats/audit.md is the description; these
// are its constants.
//
//   segment = header, frame*, zeros
//   header  = "GHAUDIT2" | salt 16 | first sequence u64 | tree size u64 | previous marker hash 32 |
//   crc u32 | zeros to 128 frame   = payload length u32 | crc u32 | type u8 | zeros 7 | sequence
//   u64 | payload | zeros to a multiple of 8
//
// Each group of Entries ends in two copies of its commit marker: one flipped byte cannot look like
// a torn write.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "audit/digest.h"
#include "base/format_version.h"

namespace gatehouse::audit {

inline constexpr std::size_t kSegmentHeaderSize = 128;
inline constexpr std::size_t kFrameHeaderSize = 24;
inline constexpr std::size_t kBodyHeaderSize = 56;  // of a body frame's payload
inline constexpr std::size_t kPayloadMost = 2 * 1024 * 1024;

enum class FrameType : std::uint8_t { kEntry = 1, kMarker = 2, kBody = 3, kBodyList = 4 };

struct SegmentHeader {
  std::array<std::uint8_t, 16> salt{};
  std::uint64_t first_sequence = 0;
  std::uint64_t tree_size = 0;
  Digest previous_marker{};
  std::uint64_t version = kSegmentFormat.latest;  // of the format; lists of parts are of 2
};
[[nodiscard]] std::string segment_header(const SegmentHeader& header);
// Errors: kCorrupt; kUnsupported for one of a newer gatehouse.
[[nodiscard]] Result<SegmentHeader> parse_segment_header(std::string_view bytes);

struct Marker {
  std::uint64_t first_sequence = 0;  // of its group
  std::uint64_t tree_size = 0;       // after its group: the next sequence
  Digest root{};
  Digest previous{};  // hash of the marker before, over all segments
  [[nodiscard]] Digest hash() const;
};
inline constexpr std::size_t kMarkerSize = 80;
[[nodiscard]] std::string marker_payload(const Marker& marker);
[[nodiscard]] std::optional<Marker> parse_marker(std::string_view payload);

struct FrameView {
  FrameType type = FrameType::kEntry;
  std::uint64_t sequence = 0;
  std::string_view payload;
  std::size_t size = 0;  // with header and padding
};
// A frame whose payload, with its padding, stands at `frame` already, behind room for the header.
void seal_frame(char* frame, const SegmentHeader& segment, FrameType type, std::uint64_t sequence,
                std::size_t payload_bytes);
// Zeros behind a payload.
[[nodiscard]] constexpr std::size_t frame_padding(std::size_t payload_bytes) {
  return (8 - payload_bytes % 8) % 8;
}
void append_frame(std::string& out, const SegmentHeader& segment, FrameType type,
                  std::uint64_t sequence, std::string_view payload);

enum class FrameState : std::uint8_t { kWhole, kEnd, kBroken };
// Reads the frame at the start of `bytes`. kEnd: zeros, no frame begins here.
[[nodiscard]] FrameState read_frame(std::string_view bytes, const SegmentHeader& segment,
                                    FrameView& frame);

// Whether the same marker stands at the start of `bytes` once more, as each group ends.
[[nodiscard]] bool is_second_copy(std::string_view bytes, const SegmentHeader& segment,
                                  const FrameView& first);

// What lies behind the last whole group of a segment that is the last.
enum class Tail : std::uint8_t {
  kEmpty,       // zeros
  kScraps,      // something, but no whole frame
  kUnfinished,  // a group that was never synced whole, and so never acknowledged
  kDamaged,     // a group that was, and was changed since
};
// `from` is where that tail begins, `next` the sequence that is due there. A group is written only
// after the one before it was synced: a marker of a later group shows that this one was. Otherwise
// it is unfinished when no marker of it arrived, or a 512-byte sector of it never did (segments are
// zeros before they are written).
[[nodiscard]] Tail tail_of(std::string_view segment_bytes, std::uint64_t from,
                           const SegmentHeader& segment, std::uint64_t next);

// How far a segment's whole groups reach: what may be copied of one that is written to meanwhile.
struct WholePart {
  std::uint64_t end = 0;     // bytes from the start of the segment
  Tail tail = Tail::kEmpty;  // what is behind that
};
// Of a segment whose header is whole; of another one, nothing.
[[nodiscard]] WholePart whole_part(std::string_view segment_bytes);

}  // namespace gatehouse::audit
