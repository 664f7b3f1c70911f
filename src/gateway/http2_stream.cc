// SPDX-License-Identifier: Apache-2.0
#include "gateway/http2_stream.h"

#include <algorithm>
#include <cstring>

namespace gatehouse::gateway {

using net::Task;

Http2Bytes::~Http2Bytes() {
  if (stream_->connection == nullptr) return;
  if (!is_reset_) stream_->out_ends = true;
  stream_->connection->let_go(*stream_, is_reset_ ? when_reset_ : wire::Http2Code::kNone);
}

void Http2Bytes::end() {
  stream_->out_ends = true;
  if (stream_->connection != nullptr) stream_->connection->resume(stream_->id);
}

std::size_t Http2Bytes::peek_now(std::span<char> into) {
  const std::size_t count = std::min(into.size(), stream_->in.size());
  std::memcpy(into.data(), stream_->in.data(), count);
  return count;
}

std::size_t Http2Bytes::read_now(std::span<char> into) {
  const std::size_t count = peek_now(into);
  stream_->in.erase(0, count);
  if (count > 0 && stream_->connection != nullptr) stream_->connection->taken(stream_->id, count);
  return count;
}

Task<Result<void>> Http2Bytes::wait_readable(Deadline deadline) {
  while (!can_read()) {
    stream_->came.reset();
    CO_TRY(co_await stream_->came.wait(deadline));
  }
  co_return Result<void>();
}

Task<Result<std::size_t>> Http2Bytes::read(std::span<char> into, Deadline deadline) {
  CO_TRY(co_await wait_readable(deadline));
  if (const std::size_t count = read_now(into); count > 0) co_return count;
  if (!stream_->in_whole) co_return Failure(over());
  co_return std::size_t{0};
}

std::size_t Http2Bytes::write_now(std::string_view bytes) {
  if (stream_->is_over || stream_->out_ends || stream_->connection == nullptr) return 0;
  const std::size_t count =
      std::min(bytes.size(), kWaitingMost - std::min(kWaitingMost, stream_->waiting()));
  stream_->out += bytes.substr(0, count);
  if (count > 0) stream_->connection->resume(stream_->id);
  return count;
}

Task<Result<void>> Http2Bytes::wait_writable(Deadline deadline) {
  while (!stream_->is_over && stream_->waiting() >= kWaitingMost) {
    stream_->went.reset();
    CO_TRY(co_await stream_->went.wait(deadline));
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Bytes::write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    if (stream_->is_over || stream_->out_ends) co_return Failure(over());
    bytes.remove_prefix(write_now(bytes));
    if (!bytes.empty()) CO_TRY(co_await wait_writable(deadline));
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Bytes::finish(Deadline deadline) {
  end();
  while (!stream_->is_over && !stream_->out_ended) {
    stream_->went.reset();
    CO_TRY(co_await stream_->went.wait(deadline));
  }
  if (!stream_->out_ended) co_return Failure(over());
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
