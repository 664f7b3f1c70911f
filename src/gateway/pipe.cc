// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipe.h"

#include <optional>

#include "net/nursery.h"

namespace gatehouse::gateway {

using net::Task;

struct Pipe::End {
  explicit End(net::Loop& loop) : over(loop) {}
  net::Event over;
  std::optional<Result<void>> how;
  void tell(Result<void> done) {
    if (!how) how = std::move(done);
    over.set();
  }
};

Task<Result<void>> Pipe::run(Client& client, net::Stream& upstream) {
  last_ = loop_.now();
  End end(loop_);
  net::Nursery both(loop_);
  both.spawn(pass_up(&client, &upstream, &end));
  both.spawn(pass_down(&client, &upstream, &end));
  CO_TRY(co_await end.over.wait(Deadline::never()));
  both.cancel_all();
  co_return *std::move(end.how);
}

Task<void> Pipe::pass_up(Client* client, net::Stream* upstream, End* end) {
  std::string waiting(client->inbox.waiting());
  client->inbox.take(waiting.size());
  bool broke = false;
  auto done = co_await pass(client->stream.get(), std::move(waiting), upstream, &up_, &broke);
  // An upstream that takes nothing more may have something to say yet.
  if (!done && (broke || done.error() == Error::kKilled)) end->tell(std::move(done));
}

Task<void> Pipe::pass_down(Client* client, net::Stream* upstream, End* end) {
  bool broke = false;
  end->tell(co_await pass(upstream, "", client->stream.get(), &down_, &broke));
}

Task<Result<void>> Pipe::pass(net::Stream* from, std::string bytes, net::Stream* to,
                              std::uint64_t* count, bool* broke) {
  while (true) {
    if (is_killed_()) co_return failure(Error::kKilled, "the run was killed");
    if (!bytes.empty()) CO_TRY(co_await to->write(bytes, loop_.in(kClientTakesMost)));
    *count += bytes.size();
    bytes.resize(kReadPiece);
    const auto read =
        co_await from->read({bytes.data(), bytes.size()}, Deadline(last_ + kIdleMost));
    const bool idle = !read && read.error() == Error::kTimeout && loop_.now() >= last_ + kIdleMost;
    *broke = !read && (idle || read.error() != Error::kTimeout);
    if (*broke) co_return Failure(read.error());
    bytes.resize(read.value_or(0));
    if (!read) continue;  // the other way was not silent
    last_ = loop_.now();
    if (*read == 0) break;
  }
  (void)co_await to->finish(loop_.in(kClientTakesMost));
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
