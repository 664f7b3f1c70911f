// SPDX-License-Identifier: Apache-2.0
#include "ipc/frame.h"

#include <fmt/format.h>

namespace gatehouse::ipc {
namespace {

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

template <class T>
T get(std::string_view bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<std::uint8_t>(bytes[i])) << (8 * i));
  }
  return value;
}

}  // namespace

Result<void> append_frame(std::string& out, const Frame& frame) {
  if (frame.payload.size() > kPayloadMost) {
    return failure(Error::kTooLarge,
                   fmt::format("a control message of type {:#06x} has {} bytes; {} is the most",
                               frame.type, frame.payload.size(), kPayloadMost));
  }
  put(out, static_cast<std::uint32_t>(frame.payload.size()));
  put(out, kVersion);
  put(out, frame.descriptors);
  put(out, frame.type);
  put(out, frame.correlation);
  out += frame.payload;
  return {};
}

Result<bool> FrameReader::next(Frame& frame) {
  if (taken_ > 0 && (taken_ == buffer_.size() || taken_ >= kFrameMost)) {
    buffer_.erase(0, taken_);
    taken_ = 0;
  }
  const std::string_view left = std::string_view(buffer_).substr(taken_);
  frame = {};
  if (left.size() < kHeaderSize) return false;
  const auto length = get<std::uint32_t>(left);
  const auto version = get<std::uint8_t>(left.substr(4));
  if (version != kVersion) {
    return failure(
        Error::kInvalid,
        fmt::format("a control message of version {}; {} is spoken here", version, kVersion));
  }
  frame.descriptors = get<std::uint8_t>(left.substr(5));
  if (frame.descriptors > kDescriptorsMost) {
    return failure(Error::kInvalid, "a control message that claims too many descriptors");
  }
  if (length > kPayloadMost) {
    return failure(Error::kInvalid, fmt::format("a control message that claims {} bytes", length));
  }
  if (left.size() < kHeaderSize + length) return false;
  frame.type = get<std::uint16_t>(left.substr(6));
  frame.correlation = get<std::uint64_t>(left.substr(8));
  frame.payload = left.substr(kHeaderSize, length);
  taken_ += kHeaderSize + length;
  return true;
}

}  // namespace gatehouse::ipc
