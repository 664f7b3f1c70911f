// SPDX-License-Identifier: Apache-2.0
#include "wire/http2_client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "base/check.h"
#include "base/secret.h"
#include "wire/characters.h"
#include "wire/http2_parts.h"

namespace gatehouse::wire {
namespace {

// A session's memory. Heads pass through it, so it is wiped as it is given back; its size stands
// before it.
struct WipedMemory {
  static constexpr std::size_t kBefore = alignof(std::max_align_t);
  static_assert(kBefore >= sizeof(std::size_t));

  static void* take(std::size_t size, void*) {
    if (size > SIZE_MAX - kBefore) return nullptr;
    auto* at = static_cast<char*>(std::malloc(size + kBefore));
    if (at == nullptr) return nullptr;
    std::memcpy(at, &size, sizeof size);
    return at + kBefore;
  }
  static void give(void* memory, void*) {
    if (memory == nullptr) return;
    char* at = static_cast<char*>(memory) - kBefore;
    wipe({at + kBefore, size_of(memory)});
    std::free(at);
  }
  static void* take_zeroed(std::size_t count, std::size_t size, void*) {
    if (size != 0 && count > SIZE_MAX / size) return nullptr;
    void* memory = take(count * size, nullptr);
    if (memory != nullptr) std::memset(memory, 0, count * size);
    return memory;
  }
  static void* change(void* memory, std::size_t size, void*) {
    void* other = take(size, nullptr);
    if (other == nullptr || memory == nullptr) return other;
    std::memcpy(other, memory, std::min(size, size_of(memory)));
    give(memory, nullptr);
    return other;
  }
  static std::size_t size_of(const void* memory) {
    std::size_t size = 0;
    std::memcpy(&size, static_cast<const char*>(memory) - kBefore, sizeof size);
    return size;
  }
  static nghttp2_mem* functions() {
    static nghttp2_mem kFunctions{nullptr, take, give, take_zeroed, change};
    return &kFunctions;
  }
};

// One stream, from its request to its end.
struct Answering {
  int status = 0;
  Headers fields;
  std::size_t size = 0;    // of the head that comes
  bool has_begun = false;  // an answer's head, not an interim one
  bool has_head = false;   // what comes now are trailers
  bool was_sent = false;
  bool is_refused = false;  // by us: what came is wrong
  std::string why;
};

// Judged by the parser of HTTP/1.1, as the head of a request is.
Result<ResponseHead> head_of(const Answering& from) {
  std::string text;
  TRY(append_response_head(
      text, {from.status, std::string(reason_phrase(from.status)), HttpVersion::k11, from.fields}));
  ResponseParser parser;
  const HeadProgress progress = TRY(parser.feed(text));
  if (!progress.done || progress.consumed != text.size()) {
    return failure(Error::kInvalid, "the answer's fields cannot be read as one head");
  }
  return parser.take();
}

bool is_of_connection(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOfConnection = {
      "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"};
  return std::any_of(kOfConnection.begin(), kOfConnection.end(),
                     [&](std::string_view each) { return equal_ignoring_case(each, name); });
}

Result<void> check_request(const RequestHead& head, Http2Secret secret) {
  if (head.method.empty() || !all_are(kTokenChar, head.method) || head.method == "CONNECT") {
    return failure(Error::kInvalid, "a request is not written: its method would break it");
  }
  if (!all_are(kTargetChar, head.target) || (!head.target.starts_with('/') && head.target != "*")) {
    return failure(Error::kInvalid, "a request is not written: its target would break it");
  }
  if (!are_plain(head.headers) || !all_are(kTokenChar, secret.name)
      || !all_are(kValueChar, secret.value)) {
    return failure(Error::kInvalid, "a request is not written: a field of it would break it");
  }
  return {};
}

}  // namespace

class Http2Client::Impl {
 public:
  explicit Impl(Http2ClientHandler& handler) : handler_(handler) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    set(callbacks);
    nghttp2_option* option = nullptr;
    CHECK(nghttp2_option_new(&option) == 0);
    hear_of_unknown_frames(option, callbacks);
    set_bounds(option);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
    nghttp2_option_set_peer_max_concurrent_streams(option, kHttp2StreamsMost);
    CHECK(nghttp2_session_client_new3(&session_, callbacks, this, option, WipedMemory::functions())
          == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kHttp2AnswerWindow},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeadBytes},
    };
    CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kHttp2AnswersWindow)
          == 0);
  }
  ~Impl() { nghttp2_session_del(session_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> feed(std::string_view bytes, Instant now) {
    return feed_session(session_, quiet_, bytes, now);
  }
  Output append_output(std::string& out) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size <= 0) return {};
    out += view_of(bytes, static_cast<std::size_t>(size));
    // Of a frame's head (RFC 9113 section 4.1) the fourth byte is its kind: only these hold fields.
    constexpr std::size_t kKind = 3;
    const bool is_head =
        size > static_cast<ssize_t>(kKind)
        && (bytes[kKind] == NGHTTP2_HEADERS || bytes[kKind] == NGHTTP2_CONTINUATION);
    // nghttp2 has nothing to do with these bytes any more but to write others over them.
    if (is_head) {
      wipe({reinterpret_cast<char*>(const_cast<std::uint8_t*>(bytes)),
            static_cast<std::size_t>(size)});
    }
    return {true, is_head};
  }
  Result<std::int32_t> request(const RequestHead& head, std::string_view scheme,
                               Http2Secret secret) {
    TRY(check_request(head, secret));
    if (nghttp2_session_check_request_allowed(session_) == 0) {
      return failure(Error::kClosed, "the connection takes no more requests");
    }
    Headers fields;
    for (const Header header : head.headers) {
      if (is_of_connection(header.name)) continue;
      fields.add(TRY(HeaderName::parse(header.name)), header.value);
    }
    if (head.framing.kind == BodyFraming::Kind::kLength) {
      fields.set("content-length", std::to_string(head.framing.length));
    }
    // What is relayed may have trailers; some servers of gRPC ask for this to be said.
    fields.set("te", "trailers");
    Http2Fields list(fields);
    const std::string authority(head.headers.find("host").value_or(""));
    list.list.insert(list.list.begin(),
                     {http2_field(":method", head.method), http2_field(":scheme", scheme),
                      http2_field(":authority", authority), http2_field(":path", head.target)});
    if (!secret.name.empty()) {
      list.list.push_back(http2_field(secret.name, secret.value, NGHTTP2_NV_FLAG_NO_INDEX));
    }
    nghttp2_data_provider provider{};
    provider.read_callback = pull;
    const bool has_body = head.framing.kind != BodyFraming::Kind::kNone;
    const std::int32_t stream =
        nghttp2_submit_request(session_, nullptr, list.list.data(), list.list.size(),
                               has_body ? &provider : nullptr, nullptr);
    if (stream < 0) return failure(Error::kClosed, "the connection takes no more requests");
    streams_[stream];
    return stream;
  }
  [[nodiscard]] bool was_sent(std::int32_t stream) const {
    const auto found = streams_.find(stream);
    return found != streams_.end() && found->second.was_sent;
  }
  nghttp2_session* session() { return session_; }

 private:
  static Impl& of(void* self) { return *static_cast<Impl*>(self); }
  static void set(nghttp2_session_callbacks* to) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(to, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(to, before_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(to, on_not_sent);
  }
  Answering* find(std::int32_t stream) {
    const auto found = streams_.find(stream);
    return found == streams_.end() ? nullptr : &found->second;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (Answering* answer = of(self).find(frame->hd.stream_id)) {
      answer->fields.clear();
      answer->size = 0;
    }
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name_at,
                       std::size_t name_size, const std::uint8_t* value_at, std::size_t value_size,
                       std::uint8_t, void* self) {
    Answering* answer = of(self).find(frame->hd.stream_id);
    if (answer == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return add_field(*answer, view_of(name_at, name_size), view_of(value_at, value_size))
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  // nghttp2 would leave such a field out.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*,
                               std::size_t, const std::uint8_t*, std::size_t, std::uint8_t,
                               void* self) {
    if (Answering* answer = of(self).find(frame->hd.stream_id)) {
      (void)refuse(*answer, "a field of its answer holds odd characters");
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static bool refuse(Answering& answer, std::string_view why) {
    answer.is_refused = true;
    answer.why = why;
    return false;
  }
  static bool add_field(Answering& to, std::string_view name, std::string_view value) {
    to.size += name.size() + value.size() + 32;  // RFC 9113 section 6.5.2
    if (to.size > (to.has_head ? kMaxTrailerBytes : kMaxHeadBytes)) {
      return refuse(to, to.has_head ? "its trailers are too large" : "its head is too large");
    }
    if (!to.has_head && name == ":status") {
      // nghttp2 has seen that these are three digits.
      to.status = 100 * (value[0] - '0') + 10 * (value[1] - '0') + (value[2] - '0');
      return true;
    }
    const auto parsed = HeaderName::parse(name);
    if (!parsed || !all_are(kValueChar, value)) {
      return refuse(to, "a field of its answer holds odd characters");
    }
    if (to.fields.size() >= kMaxHeaders) return refuse(to, "its answer has too many fields");
    if (to.has_head && !may_be_trailer(name)) {
      return refuse(to, "its answer has a trailer that frames, routes or authorizes");
    }
    to.fields.add(*parsed, value);
    return true;
  }
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) {
    return !is_noise(*head) || of(self).quiet_.take() ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    return of(self).take_frame(frame->hd) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  // Whether the connection goes on.
  bool take_frame(const nghttp2_frame_hd& frame) {
    const bool ended = (frame.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    Answering* answer = find(frame.stream_id);
    if (answer == nullptr || answer->is_refused) return true;
    if (frame.type == NGHTTP2_HEADERS && !answer->has_head) {
      Result<ResponseHead> head = head_of(*answer);
      const bool is_interim = head && head->status < 200;
      if (is_interim && !quiet_.take()) return false;
      if (!head) {
        (void)refuse(*answer, head.error().message());
        (void)nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame.stream_id,
                                        NGHTTP2_PROTOCOL_ERROR);
      }
      answer->has_begun = true;
      answer->has_head = !is_interim;
      answer->fields.clear();
      const bool goes_on = head.has_value();
      handler_.on_answer(frame.stream_id, std::move(head), ended);
      if (!goes_on) return true;
    }
    if (ended) handler_.on_end(frame.stream_id, std::move(answer->fields));
    return true;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream,
                     const std::uint8_t* bytes, std::size_t size, void* self) {
    // Of the connection's window at once: what is bounded is each stream's.
    nghttp2_session_consume_connection(session, size);
    of(self).handler_.on_body(stream, view_of(bytes, size));
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t stream, std::uint32_t code, void* self) {
    of(self).close(stream, code, code == NGHTTP2_REFUSED_STREAM);
    return 0;
  }
  void close(std::int32_t stream, std::uint32_t code, bool is_untouched) {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    Answering answer = std::move(found->second);
    streams_.erase(found);
    // Who has begun to answer has begun.
    const bool was_not_processed = (is_untouched && !answer.has_begun) || !answer.was_sent;
    if (answer.why.empty()) {
      answer.why = std::string("the stream was ended with ") + nghttp2_http2_strerror(code);
    }
    handler_.on_close(stream, {code, was_not_processed, std::move(answer.why)});
  }
  // Before any byte of it is made.
  static int before_send(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Answering* answer = of(self).find(frame->hd.stream_id)) answer->was_sent = true;
    return 0;
  }
  // A request that cannot go any more: the server has said meanwhile that it takes none.
  static int on_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* self) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    of(self).close(frame->hd.stream_id, NGHTTP2_REFUSED_STREAM, true);
    return 0;
  }
  static ssize_t pull(nghttp2_session* session, std::int32_t stream, std::uint8_t* into,
                      std::size_t room, std::uint32_t* flags, nghttp2_data_source*, void* self) {
    Headers trailers;
    const Http2Handler::Pulled pulled =
        of(self).handler_.on_pull(stream, reinterpret_cast<char*>(into), room, trailers);
    return answer_pull(session, stream, pulled, trailers, flags);
  }

  Http2ClientHandler& handler_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, Answering> streams_;  // that are not over
  Http2Quiet quiet_;
};

Http2Client::Http2Client(Http2ClientHandler& handler) : impl_(std::make_unique<Impl>(handler)) {}
Http2Client::~Http2Client() = default;

Result<void> Http2Client::feed(std::string_view bytes, Instant now) {
  return impl_->feed(bytes, now);
}
Http2Client::Output Http2Client::append_output(std::string& out) {
  return impl_->append_output(out);
}
bool Http2Client::is_over() const { return is_session_over(impl_->session()); }
std::uint32_t Http2Client::streams_most() const {
  return nghttp2_session_get_remote_settings(impl_->session(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}
bool Http2Client::takes_requests() const {
  return nghttp2_session_check_request_allowed(impl_->session()) != 0;
}
Result<std::int32_t> Http2Client::request(const RequestHead& head, std::string_view scheme,
                                          Http2Secret secret) {
  return impl_->request(head, scheme, secret);
}
bool Http2Client::was_sent(std::int32_t stream) const { return impl_->was_sent(stream); }
void Http2Client::resume(std::int32_t stream) {
  (void)nghttp2_session_resume_data(impl_->session(), stream);
}
void Http2Client::taken(std::int32_t stream, std::size_t count) {
  (void)nghttp2_session_consume_stream(impl_->session(), stream, count);
}
void Http2Client::reset(std::int32_t stream, Http2Code code) {
  (void)nghttp2_submit_rst_stream(impl_->session(), NGHTTP2_FLAG_NONE, stream,
                                  static_cast<std::uint32_t>(code));
}
void Http2Client::ping() {
  (void)nghttp2_submit_ping(impl_->session(), NGHTTP2_FLAG_NONE, nullptr);
}
void Http2Client::drain() {
  (void)nghttp2_submit_goaway(impl_->session(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
}

}  // namespace gatehouse::wire
