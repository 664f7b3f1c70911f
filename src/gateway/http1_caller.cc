// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1_caller.h"

#include <array>

#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

Task<void> cancel_when_left(Gate* gate, Door* door, Client* client) {
  const Result<void> readable = co_await client->stream->wait_readable(Deadline::never());
  if (readable && client->stream->is_quiet()) co_return;
  std::array<char, 1> probe;
  // Bytes: the client pipelines and is there. An end: it has gone.
  if (client->stream->peek_now(probe) == 0) gate->cancel_soon(*door, client->connection);
}

}  // namespace

Http1Caller::Http1Caller(Gate& gate, Door& door, Client& client, const wire::RequestHead& head)
    : gate_(gate),
      door_(door),
      client_(client),
      request_(client.inbox, head.framing),
      answer_(gate, client),
      version_(head.version),
      is_last_(wire::ends_connection(head.version, head.headers)),
      to_head_(head.method == "HEAD") {}

Task<Result<void>> Http1Caller::send_continue(Deadline deadline) {
  return client_.stream->write("HTTP/1.1 100 Continue\r\n\r\n", deadline);
}

Result<void> Http1Caller::begin(wire::ResponseHead head, wire::BodyFraming body) {
  using Kind = wire::BodyFraming::Kind;
  Kind kind = body.kind;
  if (kind == Kind::kChunked && version_ == wire::HttpVersion::k10) kind = Kind::kUntilClose;
  if (kind != Kind::kNone) head.headers.remove("content-length");
  if (kind == Kind::kLength) head.headers.set("content-length", std::to_string(body.length));
  if (kind == Kind::kChunked) head.headers.set("transfer-encoding", "chunked");
  if (kind == Kind::kUntilClose) {
    head.headers.set("connection", "close");
    answer_.end_by_close();
    is_last_ = true;
  }
  head.version = wire::HttpVersion::k11;
  TRY(wire::append_response_head(answer_.out().head(kind), head));
  client_.mid_answer = true;
  return {};
}

Task<Result<void>> Http1Caller::Answer::finish(std::string_view rest, const wire::Headers& trailers,
                                               Deadline deadline) {
  CO_TRY(co_await out_.finish(rest, trailers, deadline));
  client_.mid_answer = false;
  if (ends_by_close_) (void)co_await client_.stream->finish(gate_.loop.in(kClientTakesMost));
  co_return Result<void>();
}

bool Http1Caller::takes_last_words() const {
  return client_.mid_answer && !client_.last_words_said && answer_.out().is_chunked()
         && !answer_.out().is_sent_in_part();
}

void Http1Caller::say_last_now(std::string_view words) {
  answer_.add(words);
  client_.last_words_said = answer_.out().flush_now();
}

Task<void> Http1Caller::say_last(std::string_view words, Deadline deadline) {
  answer_.add(words);
  client_.last_words_said = (co_await answer_.flush(deadline)).has_value();
}

Result<void> Http1Caller::can_switch() {
  if (client_.inbox.waiting().empty()) return {};
  is_last_ = true;
  return failure(Error::kInvalid,
                 "bytes came behind a request to change the protocol, before it was answered");
}

Task<Result<RawConnection>> Http1Caller::switch_protocols(wire::ResponseHead head,
                                                          Deadline deadline) {
  CO_TRY(can_switch());
  head.version = wire::HttpVersion::k11;
  std::string text;
  CO_TRY(wire::append_response_head(text, head));
  client_.mid_answer = true;
  CO_TRY(co_await client_.stream->write(text, deadline));
  co_return RawConnection{client_.stream.get(), &client_.inbox};
}

Task<void> Http1Caller::refuse(Refusal refusal) {
  refusal.close = is_last_ || !request_.is_done();
  refusal.to_head = to_head_;
  const std::string answer = response_of(refusal);
  const Result<void> written =
      co_await client_.stream->write(answer, gate_.loop.in(kClientTakesMost));
  if (refusal.close && written)
    (void)co_await client_.stream->finish(gate_.loop.in(kClientTakesMost));
  if (written && !request_.is_done()) co_await linger();
  if (!written || refusal.close) is_last_ = true;
}

// Takes what is still on its way, so that closing does not destroy the answer before it is read
// (RFC 9112 section 9.6).
Task<void> Http1Caller::linger() {
  const Deadline deadline = gate_.loop.in(kLingerMost);
  request_.settle();
  do {
    client_.inbox.take(client_.inbox.waiting().size());
  } while ((co_await client_.inbox.fill(deadline)).value_or(false));
}

void Http1Caller::watch(net::Nursery& nursery) {
  // The request has gone on; an agent that waits long sends nothing meanwhile.
  request_.settle();
  client_.inbox.give_back();
  nursery.spawn(cancel_when_left(&gate_, &door_, &client_));
}

}  // namespace gatehouse::gateway
