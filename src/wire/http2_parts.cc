// SPDX-License-Identifier: Apache-2.0
#include "wire/http2_parts.h"

#include <algorithm>

#include "wire/http2.h"

namespace gatehouse::wire {

std::string_view view_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

nghttp2_nv http2_field(std::string_view name, std::string_view value, std::uint8_t flags) {
  // nghttp2 takes what it never writes to as not const.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

Http2Fields::Http2Fields(const Headers& headers) {
  names_.reserve(headers.size());
  for (const Header header : headers) {
    names_.push_back(lowered(header.name));
    list.push_back(http2_field(names_.back(), header.value));
  }
}

bool are_plain(const Headers& headers) {
  for (const Header header : headers) {
    if (!all_are(kTokenChar, header.name) || !all_are(kValueChar, header.value)) return false;
  }
  return true;
}

bool Http2Quiet::take() {
  if (left_ > 0) {
    --left_;
    return true;
  }
  is_spent_ = true;
  return false;
}

void Http2Quiet::refill(Instant now) {
  if (!since_) since_ = now;
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(now - *since_).count();
  const auto more =
      static_cast<std::uint64_t>(std::max<std::int64_t>(whole, 0)) * kHttp2NoisePerSecond / 1000;
  if (more == 0) return;
  left_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(kHttp2NoiseMost, left_ + more));
  since_ = now;
}

void set_bounds(nghttp2_option* option) {
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_max_outbound_ack(option, 128);
  nghttp2_option_set_max_settings(option, 32);
  nghttp2_option_set_max_continuations(option, 8);
  nghttp2_option_set_no_closed_streams(option, 1);
}

Result<void> feed_session(nghttp2_session* session, Http2Quiet& quiet, std::string_view bytes,
                          Instant now) {
  quiet.refill(now);
  const ssize_t taken = nghttp2_session_mem_recv(
      session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken >= 0) return {};
  const bool is_flood = quiet.is_spent() || taken == NGHTTP2_ERR_FLOODED
                        || taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
  (void)nghttp2_session_terminate_session(
      session, is_flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  if (is_flood) return failure(Error::kTooMany, "too many HTTP/2 frames that bring nothing on");
  return failure(Error::kInvalid,
                 std::string("not HTTP/2: ") + nghttp2_strerror(static_cast<int>(taken)));
}

bool is_session_over(nghttp2_session* session) {
  return nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0;
}

ssize_t answer_pull(nghttp2_session* session, std::int32_t stream,
                    const Http2Handler::Pulled& pulled, const Headers& trailers,
                    std::uint32_t* flags) {
  using What = Http2Handler::Pulled::What;
  if (pulled.what == What::kNothingYet) return NGHTTP2_ERR_DEFERRED;
  if (pulled.what == What::kGone) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (pulled.what == What::kEnd) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!trailers.empty()) {
      const Http2Fields fields(trailers);
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      if (nghttp2_submit_trailer(session, stream, fields.list.data(), fields.list.size()) != 0) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
    }
  }
  return static_cast<ssize_t>(pulled.count);
}

void hear_of_unknown_frames(nghttp2_option* option, nghttp2_session_callbacks* callbacks) {
  constexpr unsigned kFirstExtension = NGHTTP2_CONTINUATION + 1;
  for (unsigned kind = kFirstExtension; kind <= UINT8_MAX; ++kind) {
    nghttp2_option_set_user_recv_extension_type(option, static_cast<std::uint8_t>(kind));
  }
  nghttp2_session_callbacks_set_unpack_extension_callback(
      callbacks, [](nghttp2_session*, void**, const nghttp2_frame_hd*, void*) -> int {
        return NGHTTP2_ERR_CANCEL;  // ignored (RFC 9113 section 5.5)
      });
}

bool is_noise(const nghttp2_frame_hd& head) {
  if (head.type == NGHTTP2_DATA) {
    return head.length == 0 && (head.flags & NGHTTP2_FLAG_END_STREAM) == 0;
  }
  return head.type != NGHTTP2_HEADERS && head.type != NGHTTP2_WINDOW_UPDATE;
}

}  // namespace gatehouse::wire
