// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1_message.h"

#include <algorithm>
#include <utility>

#include "base/secret.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kCopiedMost = 16 * 1024;  // of a last piece; a longer one goes from its place
constexpr std::size_t kChunkOverhead = 32;

}  // namespace

Result<Piece> Http1In::piece() {
  while (true) {
    settle();
    if (reader_.done()) return Piece{{}, true};
    if (inbox_.waiting().empty()) return Piece{};
    const wire::BodyPiece piece = TRY(reader_.feed(inbox_.waiting()));
    consumed_ = piece.consumed;
    if (!piece.payload.empty() || piece.done) return Piece{piece.payload, piece.done};
  }
}

std::uint64_t Http1In::plain() {
  settle();
  return inbox_.waiting().empty() ? reader_.plain() : 0;
}

Task<Result<std::size_t>> Http1In::read(std::span<char> into, Deadline deadline) {
  const std::size_t most = std::min<std::uint64_t>(into.size(), plain());
  const std::size_t got = CO_TRY(co_await inbox_.read_past(into.first(most), deadline));
  reader_.took(got);
  co_return got;
}

void Http1Out::add(std::string_view payload) {
  if (payload.empty()) return;
  if (text_.empty()) take_buffer();
  make_room(payload.size() + kChunkOverhead);
  if (chunked_) wire::append_chunk_header(text_, payload.size());
  text_ += payload;
  if (chunked_) text_ += wire::kChunkEnd;
}

Task<Result<void>> Http1Out::flush_with(std::string_view rest, Deadline deadline) {
  sending_ = true;
  const Result<void> written = co_await stream_.write_both(text_, rest, deadline);
  sending_ = !written;
  forget();
  co_return written;
}

bool Http1Out::flush_now() {
  const bool whole = stream_.write_now(text_) == text_.size();
  sending_ = !whole;
  forget();
  return whole;
}

Task<Result<void>> Http1Out::finish(std::string_view rest, const wire::Headers& trailers,
                                    Deadline deadline) {
  const bool is_apart = rest.size() > kCopiedMost && !chunked_;
  if (!is_apart) add(rest);
  if (chunked_) {
    make_room(wire::kMaxTrailerBytes + kChunkOverhead);
    CO_TRY(wire::append_last_chunk(text_, trailers));
  }
  if (is_apart) co_return co_await flush_with(rest, deadline);
  if (!text_.empty()) CO_TRY(co_await flush(deadline));
  co_return Result<void>();
}

void Http1Out::take_buffer() {
  if (text_.capacity() < kReadPiece) text_ = Buffers::take();
}

// A string that grows leaves its bytes where they were.
void Http1Out::make_room(std::size_t size) {
  if (!is_secret_ || text_.capacity() - text_.size() >= size) return;
  std::string wider;
  wider.reserve(std::max(2 * text_.capacity(), text_.size() + size));
  wider += text_;
  wipe({text_.data(), text_.size()});
  text_ = std::move(wider);
}

void Http1Out::forget() {
  if (is_secret_) wipe({text_.data(), text_.size()});
  is_secret_ = false;
  Buffers::give(std::exchange(text_, {}));
}

}  // namespace gatehouse::gateway
