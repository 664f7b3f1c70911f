// SPDX-License-Identifier: Apache-2.0
// What both sides of a connection of HTTP/2 are made of: http2.cc and http2_client.cc alone include
// this. Of their session's thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "wire/http2.h"

namespace gatehouse::wire {

[[nodiscard]] std::string_view view_of(const std::uint8_t* bytes, std::size_t size);
// Views of both: nghttp2 copies them as they are submitted.
[[nodiscard]] nghttp2_nv http2_field(std::string_view name, std::string_view value,
                                     std::uint8_t flags = NGHTTP2_NV_FLAG_NONE);

// Fields of HTTP/2, of which the names are lower-case, and what holds their bytes.
class Http2Fields {
 public:
  explicit Http2Fields(const Headers& headers);
  std::vector<nghttp2_nv> list;

 private:
  std::vector<std::string> names_;
};

// Whether they can be written as they are: no control characters, names that are tokens.
[[nodiscard]] bool are_plain(const Headers& headers);

// How many frames that bring nothing on the peer may still send (kHttp2NoiseMost, and so many more
// with each second).
class Http2Quiet {
 public:
  // Errors by returning false: there were too many.
  [[nodiscard]] bool take();
  void refill(Instant now);
  [[nodiscard]] bool is_spent() const { return is_spent_; }

 private:
  std::optional<Instant> since_;
  std::uint32_t left_ = kHttp2NoiseMost;
  bool is_spent_ = false;
};

// The bounds that both sides have against the other, and windows that open only as what came is
// taken.
void set_bounds(nghttp2_option* option);

// Gives the session what came. After an error it is to end, when its last output is sent. Errors:
// kInvalid, kTooMany.
[[nodiscard]] Result<void> feed_session(nghttp2_session* session, Http2Quiet& quiet,
                                        std::string_view bytes, Instant now);
// Whether both sides are done with the connection.
[[nodiscard]] bool is_session_over(nghttp2_session* session);
// What a callback that reads a body's bytes answers (nghttp2_data_source_read_callback).
[[nodiscard]] ssize_t answer_pull(nghttp2_session* session, std::int32_t stream,
                                  const Http2Handler::Pulled& pulled, const Headers& trailers,
                                  std::uint32_t* flags);

// nghttp2 passes over frames of unknown kinds without a word; now they are told of before that.
void hear_of_unknown_frames(nghttp2_option* option, nghttp2_session_callbacks* callbacks);

// Whether a frame of that kind brings nothing on: PING, SETTINGS, PRIORITY, RST_STREAM, unknown
// ones, and DATA that is empty.
[[nodiscard]] bool is_noise(const nghttp2_frame_hd& head);

}  // namespace gatehouse::wire
