// SPDX-License-Identifier: Apache-2.0
#include "wire/http2.h"

#include <nghttp2/nghttp2.h>

#include <unordered_map>

#include "base/check.h"
#include "wire/characters.h"
#include "wire/http2_parts.h"
#include "wire/websocket.h"

namespace gatehouse::wire {
namespace {

// A head as it comes, field by field.
struct Incoming {
  std::string method;
  std::string protocol;  // of an extended CONNECT (RFC 8441 section 4)
  std::string scheme;
  std::string authority;
  std::string path;
  std::string cookie;  // RFC 9113 section 8.2.3: its pieces are one field
  Headers fields;
  std::size_t size = 0;
  bool has_head = false;  // what comes now are trailers
  Headers trailers;
};

// Judged by the parser of HTTP/1.1, so that no request can be one thing here and another there. Its
// text holds no byte that would make it two.
Result<RequestHead> read_as_text(const RequestHead& head) {
  std::string text;
  TRY(append_request_head(text, head));
  RequestParser parser;
  const HeadProgress progress = TRY(parser.feed(text));
  if (!progress.done || progress.consumed != text.size()) {
    return failure(Error::kInvalid, "the request's fields cannot be read as one head");
  }
  return parser.take();
}

// RFC 9113 section 8.5.
Result<RequestHead> connect_head(const Incoming& from, RequestHead head) {
  if (!from.scheme.empty() || !from.path.empty()) {
    return failure(Error::kInvalid, "CONNECT has no :scheme and no :path");
  }
  head.target = from.authority;
  head = TRY(read_as_text(head));
  if (head.framing.kind != BodyFraming::Kind::kNone) {
    return failure(Error::kInvalid, "CONNECT has no body");
  }
  return head;
}

Result<RequestHead> head_of(const Incoming& from, bool ended) {
  const bool is_extended = !from.protocol.empty();
  if (is_extended && from.protocol != "websocket") {
    return failure(Error::kUnsupported,
                   "of extended CONNECT (RFC 8441) only :protocol websocket is spoken");
  }
  const bool is_asterisk = from.path == "*";
  for (const std::string* part : {&from.method, &from.scheme, &from.authority, &from.path}) {
    if (!all_are(kVisibleChar, *part)) {
      return failure(Error::kInvalid, "the request's pseudo fields hold odd characters");
    }
  }
  const bool is_tunnel = from.method == "CONNECT" && !is_extended;
  if (!is_tunnel && !is_asterisk && !from.path.starts_with('/')) {
    return failure(Error::kInvalid, "the request's :path does not begin with '/'");
  }
  RequestHead head;
  head.method = from.method;
  head.headers = from.fields;
  std::string authority = from.authority;
  if (const auto host = head.headers.find("host"); host && authority.empty()) authority = *host;
  // A Host that is another one than :authority is refused by the parser.
  if (!head.headers.find("host")) head.headers.add("host", authority);
  if (!from.cookie.empty()) head.headers.add("cookie", from.cookie);
  if (is_tunnel) return connect_head(from, std::move(head));
  head.target = is_asterisk ? "*" : from.scheme + "://" + authority + from.path;
  if (is_extended) {
    if (ended) return failure(Error::kInvalid, "a request for a WebSocket ended with its head");
    head.method = "GET";
    // It means nothing here, and yet some clients send one and look for its answer (Node's).
    if (!has_websocket_key(head.headers)) head.headers.remove("sec-websocket-key");
    set_websocket_upgrade(head.headers);
    return read_as_text(head);
  }
  head = TRY(read_as_text(head));
  if (ended) {
    if (head.framing.kind == BodyFraming::Kind::kLength) {
      return failure(Error::kInvalid, "the request ended before its content-length");
    }
    return head;
  }
  if (head.framing.kind == BodyFraming::Kind::kNone)
    head.framing = {BodyFraming::Kind::kChunked, 0};
  return head;
}

}  // namespace

class Http2Server::Impl {
 public:
  Impl(Http2Handler& handler, bool takes_websockets) : handler_(handler) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    set(callbacks);
    nghttp2_option* option = nullptr;
    CHECK(nghttp2_option_new(&option) == 0);
    hear_of_unknown_frames(option, callbacks);
    set_bounds(option);
    nghttp2_option_set_stream_reset_rate_limit(option, 200, 20);
    CHECK(nghttp2_session_server_new2(&session_, callbacks, this, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kHttp2StreamsMost},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kHttp2StreamWindow},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeadBytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, takes_websockets ? 1U : 0U},
    };
    CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kHttp2Window) == 0);
  }
  ~Impl() { nghttp2_session_del(session_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> feed(std::string_view bytes, Instant now) {
    return feed_session(session_, quiet_, bytes, now);
  }
  std::string_view next_output() {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    return size <= 0 ? std::string_view() : view_of(bytes, static_cast<std::size_t>(size));
  }
  Result<void> answer(std::int32_t stream, const ResponseHead& head, bool has_body) {
    const std::string status = std::to_string(head.status);
    if (!are_plain(head.headers)) {
      return failure(Error::kInvalid, "a field of the answer holds odd characters");
    }
    Http2Fields fields(head.headers);
    fields.list.insert(fields.list.begin(), http2_field(":status", status));
    nghttp2_data_provider provider{};
    provider.read_callback = pull;
    if (nghttp2_submit_response(session_, stream, fields.list.data(), fields.list.size(),
                                has_body ? &provider : nullptr)
        != 0) {
      return failure(Error::kClosed, "the stream is over");
    }
    return {};
  }
  nghttp2_session* session() { return session_; }

 private:
  static Impl& of(void* self) { return *static_cast<Impl*>(self); }
  static void set(nghttp2_session_callbacks* to) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      of(self).incoming_[frame->hd.stream_id];
    }
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name_at,
                       std::size_t name_size, const std::uint8_t* value_at, std::size_t value_size,
                       std::uint8_t, void* self) {
    const auto found = of(self).incoming_.find(frame->hd.stream_id);
    if (found == of(self).incoming_.end()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return add_field(found->second, view_of(name_at, name_size), view_of(value_at, value_size))
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static bool add_field(Incoming& to, std::string_view name, std::string_view value) {
    to.size += name.size() + value.size() + 32;  // RFC 9113 section 6.5.2
    if (to.size > kMaxHeadBytes) return false;
    if (!to.has_head && name == ":method") return to.method = value, true;
    if (!to.has_head && name == ":protocol") return to.protocol = value, true;
    if (!to.has_head && name == ":scheme") return to.scheme = value, true;
    if (!to.has_head && name == ":authority") return to.authority = value, true;
    if (!to.has_head && name == ":path") return to.path = value, true;
    if (!to.has_head && name == "cookie") {
      if (!to.cookie.empty()) to.cookie += "; ";
      return to.cookie += value, true;
    }
    const auto parsed = HeaderName::parse(name);
    if (!parsed || !all_are(kValueChar, value)) return false;
    Headers& fields = to.has_head ? to.trailers : to.fields;
    if (fields.size() >= kMaxHeaders || (to.has_head && !may_be_trailer(name))) return false;
    fields.add(*parsed, value);
    return true;
  }
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) {
    return !is_noise(*head) || of(self).quiet_.take() ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
    Impl& impl = of(self);
    const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    const std::int32_t stream = frame->hd.stream_id;
    const auto found = impl.incoming_.find(stream);
    if (found == impl.incoming_.end()) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !found->second.has_head) {
      Result<RequestHead> head = head_of(found->second, ended);
      Incoming rest;
      rest.has_head = true;
      rest.size = found->second.size;
      found->second = std::move(rest);
      impl.handler_.on_request(stream, std::move(head));
    }
    if (ended) {
      impl.handler_.on_end(stream, std::move(found->second.trailers));
      impl.incoming_.erase(stream);
    }
    (void)session;
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream,
                     const std::uint8_t* bytes, std::size_t size, void* self) {
    // Of the connection's window at once: what is bounded is each stream's.
    nghttp2_session_consume_connection(session, size);
    of(self).handler_.on_body(stream, view_of(bytes, size));
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t stream, std::uint32_t code, void* self) {
    of(self).incoming_.erase(stream);
    of(self).handler_.on_close(stream, code);
    return 0;
  }
  static ssize_t pull(nghttp2_session* session, std::int32_t stream, std::uint8_t* into,
                      std::size_t room, std::uint32_t* flags, nghttp2_data_source*, void* self) {
    Headers trailers;
    const Http2Handler::Pulled pulled =
        of(self).handler_.on_pull(stream, reinterpret_cast<char*>(into), room, trailers);
    return answer_pull(session, stream, pulled, trailers, flags);
  }

  Http2Handler& handler_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, Incoming> incoming_;  // requests that have not ended
  Http2Quiet quiet_;
};

bool asks_for_websocket(const RequestHead& head) {
  return head.headers.has_token("upgrade", "websocket");
}

Http2Server::Http2Server(Http2Handler& handler, bool takes_websockets)
    : impl_(std::make_unique<Impl>(handler, takes_websockets)) {}
Http2Server::~Http2Server() = default;

Result<void> Http2Server::feed(std::string_view bytes, Instant now) {
  return impl_->feed(bytes, now);
}
std::string_view Http2Server::next_output() { return impl_->next_output(); }
bool Http2Server::is_over() const { return is_session_over(impl_->session()); }
void Http2Server::interim(std::int32_t stream, int status) {
  const std::string text = std::to_string(status);
  const nghttp2_nv fields[] = {http2_field(":status", text)};
  (void)nghttp2_submit_headers(impl_->session(), NGHTTP2_FLAG_NONE, stream, nullptr, fields, 1,
                               nullptr);
}
Result<void> Http2Server::answer(std::int32_t stream, const ResponseHead& head, bool has_body) {
  return impl_->answer(stream, head, has_body);
}
void Http2Server::resume(std::int32_t stream) {
  (void)nghttp2_session_resume_data(impl_->session(), stream);
}
void Http2Server::taken(std::int32_t stream, std::size_t count) {
  (void)nghttp2_session_consume_stream(impl_->session(), stream, count);
}
void Http2Server::reset(std::int32_t stream, Http2Code code) {
  (void)nghttp2_submit_rst_stream(impl_->session(), NGHTTP2_FLAG_NONE, stream,
                                  static_cast<std::uint32_t>(code));
}
void Http2Server::drain() {
  (void)nghttp2_submit_goaway(impl_->session(), NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(impl_->session()),
                              NGHTTP2_NO_ERROR, nullptr, 0);
}

}  // namespace gatehouse::wire
