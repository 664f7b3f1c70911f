// SPDX-License-Identifier: Apache-2.0
// The frame of a control message: a fixed header, then the payload. Sans-I/O.
//   u32 payload length | u8 version | u8 descriptors | u16 type | u64 correlation, little-endian
// `descriptors` says how many came beside it (SCM_RIGHTS, with the frame's first byte).
// A request carries an id of the asker's with the top bit clear; its reply the same id with the top
// bit set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ipc/message.h"

namespace gatehouse::ipc {

inline constexpr std::size_t kHeaderSize = 16;
inline constexpr std::size_t kPayloadMost = kFrameMost - kHeaderSize;
inline constexpr std::uint64_t kReplyBit = 1ULL << 63;

struct Frame {
  MessageType type = 0;
  std::uint8_t descriptors = 0;
  std::uint64_t correlation = 0;
  std::string_view payload;
};

// Errors: kTooLarge.
[[nodiscard]] Result<void> append_frame(std::string& out, const Frame& frame);

// Frames out of bytes in any chunking.
class FrameReader {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame; its payload is valid until the next call. Nothing yet: `frame.type` is 0
  // and the result false. Errors: kInvalid (another version, a length out of bounds): the
  // connection must be closed.
  [[nodiscard]] Result<bool> next(Frame& frame);
  [[nodiscard]] std::size_t buffered() const { return buffer_.size() - taken_; }

 private:
  std::string buffer_;
  std::size_t taken_ = 0;
};

}  // namespace gatehouse::ipc
