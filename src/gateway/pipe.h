// SPDX-License-Identifier: Apache-2.0
// Pipe: the bytes of a tunnel, both ways at once, unread. Of the gateway's thread.
#pragma once

#include <cstdint>
#include <functional>

#include "gateway/client.h"
#include "net/loop.h"

namespace gatehouse::gateway {

class Pipe {
 public:
  // Silence is of both ways together: as long as bytes go one way, the other may say nothing.
  static constexpr Nanos kIdleMost = std::chrono::minutes(10);

  // `is_killed` is asked before each piece that is passed on.
  Pipe(net::Loop& loop, std::function<bool()> is_killed)
      : loop_(loop), is_killed_(std::move(is_killed)) {}

  // Passes on what `client` has sent already, then what comes, until the upstream ends its side.
  // The client may end its own before; one that breaks off ends it all. Both must outlive this.
  // Errors: kKilled; kTimeout after a silence of kIdleMost; the streams'.
  [[nodiscard]] net::Task<Result<void>> run(Client& client, net::Stream& upstream);

  [[nodiscard]] std::uint64_t up() const { return up_; }  // bytes to the upstream
  [[nodiscard]] std::uint64_t down() const { return down_; }

 private:
  // How it ended, and who waits for that.
  struct End;
  // `broke` becomes true where it is `from` that failed.
  net::Task<Result<void>> pass(net::Stream* from, std::string waiting, net::Stream* to,
                               std::uint64_t* count, bool* broke);
  net::Task<void> pass_up(Client* client, net::Stream* upstream, End* end);
  net::Task<void> pass_down(Client* client, net::Stream* upstream, End* end);

  net::Loop& loop_;
  std::function<bool()> is_killed_;
  std::uint64_t up_ = 0;
  std::uint64_t down_ = 0;
  Instant last_;  // when a byte came, either way
};

}  // namespace gatehouse::gateway
