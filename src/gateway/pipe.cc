// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipe.h"

#include "net/nursery.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kWriteMost = std::chrono::seconds(20);

}  // namespace

Task<Result<void>> Pipe::run(Client& client, net::Stream& upstream) {
  last_ = loop_.now();
  net::Nursery upward(loop_);
  upward.spawn(pass_up(&client, &upstream));
  co_return co_await pass(&upstream, "", client.stream.get(), &down_);
}

Task<void> Pipe::pass_up(Client* client, net::Stream* upstream) {
  std::string waiting(client->inbox.waiting());
  client->inbox.take(waiting.size());
  (void)co_await pass(client->stream.get(), std::move(waiting), upstream, &up_);
}

Task<Result<void>> Pipe::pass(net::Stream* from, std::string bytes, net::Stream* to,
                              std::uint64_t* count) {
  while (true) {
    if (is_killed_()) co_return failure(Error::kKilled, "the run was killed");
    if (!bytes.empty()) CO_TRY(co_await to->write(bytes, loop_.in(kWriteMost)));
    *count += bytes.size();
    bytes.resize(kReadPiece);
    const auto read =
        co_await from->read({bytes.data(), bytes.size()}, Deadline(last_ + kIdleMost));
    const bool idle = !read && read.error() == Error::kTimeout && loop_.now() >= last_ + kIdleMost;
    if (!read && (idle || read.error() != Error::kTimeout)) co_return Failure(read.error());
    bytes.resize(read.value_or(0));
    if (!read) continue;  // the other way was not silent
    last_ = loop_.now();
    if (*read == 0) break;
  }
  (void)co_await to->finish(loop_.in(kWriteMost));
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
