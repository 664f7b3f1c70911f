// SPDX-License-Identifier: Apache-2.0
#include "audit/segment.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gatehouse::audit {
namespace {

constexpr std::size_t kMagicSize = kSegmentFormat.magic.size();
constexpr std::uint64_t kSector = 512;  // what a disk writes whole or not at all
constexpr std::size_t kAlign = 8;
static_assert(std::endian::native == std::endian::little);  // as the format is

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}
template <class T>
T get(std::string_view bytes, std::size_t at) {
  T value = 0;
  std::memcpy(&value, bytes.data() + at,
              sizeof value);  // the format is little-endian, as the machines are
  return value;
}
void put_digest(std::string& out, const Digest& digest) {
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}
Digest get_digest(std::string_view bytes, std::size_t at) {
  Digest digest;
  std::memcpy(digest.data(), bytes.data() + at, digest.size());
  return digest;
}
bool all_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

std::uint32_t frame_crc(const SegmentHeader& segment, std::string_view length,
                        std::string_view rest) {
  const std::string_view salt(reinterpret_cast<const char*>(segment.salt.data()),
                              segment.salt.size());
  return crc32c(crc32c(crc32c(0, salt), length), rest);
}

}  // namespace

std::string segment_header(const SegmentHeader& header) {
  std::string out(kSegmentFormat.magic);
  out.back() = static_cast<char>('0' + header.version);
  out.append(reinterpret_cast<const char*>(header.salt.data()), header.salt.size());
  put(out, header.first_sequence);
  put(out, header.tree_size);
  put_digest(out, header.previous_marker);
  put(out, crc32c(0, out));
  out.resize(kSegmentHeaderSize, '\0');
  return out;
}

Result<SegmentHeader> parse_segment_header(std::string_view bytes) {
  constexpr std::size_t kCrcAt = 72;
  if (const std::uint64_t later = later_version(bytes, kSegmentFormat); later != 0) {
    return newer_format(kSegmentFormat, later);
  }
  const auto version = version_said(bytes.substr(0, kMagicSize), kSegmentFormat);
  if (bytes.size() < kSegmentHeaderSize || !version || *version < kSegmentFormat.earliest
      || get<std::uint32_t>(bytes, kCrcAt) != crc32c(0, bytes.substr(0, kCrcAt))
      || !all_zero(bytes.substr(kCrcAt + 4, kSegmentHeaderSize - kCrcAt - 4))) {
    return failure(Error::kCorrupt, "the segment's header is damaged, or this is no audit segment");
  }
  SegmentHeader header;
  std::memcpy(header.salt.data(), bytes.data() + 8, header.salt.size());
  header.first_sequence = get<std::uint64_t>(bytes, 24);
  header.tree_size = get<std::uint64_t>(bytes, 32);
  header.previous_marker = get_digest(bytes, 40);
  header.version = *version;
  return header;
}

Digest Marker::hash() const { return sha256(marker_payload(*this)); }

std::string marker_payload(const Marker& marker) {
  std::string out;
  put(out, marker.first_sequence);
  put(out, marker.tree_size);
  put_digest(out, marker.root);
  put_digest(out, marker.previous);
  return out;
}

std::optional<Marker> parse_marker(std::string_view payload) {
  if (payload.size() != kMarkerSize) return std::nullopt;
  return Marker{get<std::uint64_t>(payload, 0), get<std::uint64_t>(payload, 8),
                get_digest(payload, 16), get_digest(payload, 48)};
}

void seal_frame(char* frame, const SegmentHeader& segment, FrameType type, std::uint64_t sequence,
                std::size_t payload_bytes) {
  constexpr std::size_t kCrcAt = 4;
  constexpr std::size_t kTypeAt = 8;
  const auto length = static_cast<std::uint32_t>(payload_bytes);
  std::memset(frame, 0, kFrameHeaderSize);
  std::memcpy(frame, &length, sizeof length);
  frame[kTypeAt] = static_cast<char>(type);
  std::memcpy(frame + 16, &sequence, sizeof sequence);
  const std::string_view all(frame, kFrameHeaderSize + payload_bytes);
  const std::uint32_t crc = frame_crc(segment, all.substr(0, kCrcAt), all.substr(kTypeAt));
  std::memcpy(frame + kCrcAt, &crc, sizeof crc);
}

void append_frame(std::string& out, const SegmentHeader& segment, FrameType type,
                  std::uint64_t sequence, std::string_view payload) {
  const std::size_t at = out.size();
  out.append(kFrameHeaderSize, '\0');
  out += payload;
  out.append(frame_padding(payload.size()), '\0');
  seal_frame(out.data() + at, segment, type, sequence, payload.size());
}

FrameState read_frame(std::string_view bytes, const SegmentHeader& segment, FrameView& frame) {
  if (bytes.size() < kFrameHeaderSize)
    return all_zero(bytes) ? FrameState::kEnd : FrameState::kBroken;
  const auto length = get<std::uint32_t>(bytes, 0);
  const auto crc = get<std::uint32_t>(bytes, 4);
  if (length == 0 && crc == 0 && all_zero(bytes.substr(0, kFrameHeaderSize)))
    return FrameState::kEnd;
  if (length > kPayloadMost || length > bytes.size() - kFrameHeaderSize) return FrameState::kBroken;
  const std::size_t padded = kFrameHeaderSize + (length + kAlign - 1) / kAlign * kAlign;
  if (padded > bytes.size()) return FrameState::kBroken;
  if (crc != frame_crc(segment, bytes.substr(0, 4), bytes.substr(8, kFrameHeaderSize - 8 + length))
      || !all_zero(bytes.substr(9, 7))
      || !all_zero(bytes.substr(kFrameHeaderSize + length, padded - kFrameHeaderSize - length))) {
    return FrameState::kBroken;
  }
  frame.type = static_cast<FrameType>(bytes[8]);
  frame.sequence = get<std::uint64_t>(bytes, 16);
  frame.payload = bytes.substr(kFrameHeaderSize, length);
  frame.size = padded;
  return FrameState::kWhole;
}

bool is_second_copy(std::string_view bytes, const SegmentHeader& segment, const FrameView& first) {
  FrameView second;
  return read_frame(bytes, segment, second) == FrameState::kWhole
         && second.type == FrameType::kMarker && second.payload == first.payload;
}

namespace {

// Whether the marker at `at` is the second copy of one that was changed: what stands before it is
// like it in most bytes.
bool is_after_first_copy(std::string_view bytes, std::uint64_t at, std::size_t size) {
  if (at < size) return false;
  std::size_t same = 0;
  for (std::size_t i = 0; i < size; ++i) same += bytes[at - size + i] == bytes[at + i] ? 1 : 0;
  return same > size * 3 / 4;
}

bool holds_frame(std::string_view bytes, const SegmentHeader& segment) {
  FrameView frame;
  for (std::size_t at = 0; at + kFrameHeaderSize <= bytes.size(); at += kAlign) {
    if (read_frame(bytes.substr(at), segment, frame) == FrameState::kWhole) return true;
  }
  return false;
}

}  // namespace

Tail tail_of(std::string_view segment_bytes, std::uint64_t from, const SegmentHeader& segment,
             std::uint64_t next) {
  if (from >= segment_bytes.size() || all_zero(segment_bytes.substr(from))) return Tail::kEmpty;
  std::uint64_t end = 0;  // of the group's last marker
  int copies = 0;
  // Frames begin at multiples of 8; the length is the cheap test before the checksum.
  for (std::uint64_t at = from; at + kFrameHeaderSize + kMarkerSize <= segment_bytes.size();
       at += kAlign) {
    if (get<std::uint32_t>(segment_bytes, at) != kMarkerSize) continue;
    FrameView frame;
    if (read_frame(segment_bytes.substr(at), segment, frame) != FrameState::kWhole
        || frame.type != FrameType::kMarker) {
      continue;
    }
    const auto marker = parse_marker(frame.payload);
    if (!marker || marker->first_sequence != next) return Tail::kDamaged;
    if (++copies == 1 && !is_after_first_copy(segment_bytes, at, frame.size)) {
      end = std::min<std::uint64_t>(at + 2 * frame.size, segment_bytes.size());  // of the second
    } else {
      end = at + frame.size;
    }
  }
  if (end == 0)
    return holds_frame(segment_bytes.substr(from), segment) ? Tail::kUnfinished : Tail::kScraps;
  for (std::uint64_t at = from; at < end;) {
    const std::uint64_t sector_end = std::min<std::uint64_t>((at / kSector + 1) * kSector, end);
    if (all_zero(segment_bytes.substr(at, sector_end - at))) return Tail::kUnfinished;
    at = sector_end;
  }
  return Tail::kDamaged;
}

WholePart whole_part(std::string_view segment_bytes) {
  const auto header = parse_segment_header(segment_bytes);
  if (!header) return {0, Tail::kDamaged};
  WholePart whole{kSegmentHeaderSize, Tail::kEmpty};
  std::uint64_t next = header->tree_size;
  FrameView frame;
  for (std::uint64_t at = whole.end;
       read_frame(segment_bytes.substr(at), *header, frame) == FrameState::kWhole;
       at += frame.size) {
    if (frame.type != FrameType::kMarker) continue;
    const auto marker = parse_marker(frame.payload);
    if (!marker) break;
    if (!is_second_copy(segment_bytes.substr(at + frame.size), *header, frame)) continue;
    next = marker->tree_size;
    at += frame.size;
    whole.end = at + frame.size;
  }
  whole.tail = tail_of(segment_bytes, whole.end, *header, next);
  return whole;
}

}  // namespace gatehouse::audit
