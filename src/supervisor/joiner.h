// SPDX-License-Identifier: Apache-2.0
// Joiner: gives roles what they have beside their line to the supervisor: descriptors, and
// connections to each other. Descriptors may run out here or there: what was not taken is offered
// again as long as those whom it is for are the same.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ipc/channel.h"
#include "net/nursery.h"
#include "supervisor/supervisor.h"

namespace gatehouse::supervisor {

// One role's process, as long as the house runs.
struct Child {
  RoleSpec spec;
  pid_t pid = -1;  // while there is none
  net::Descriptor pidfd;
  std::unique_ptr<ipc::Channel> channel;
  bool ready = false;
  bool was_ready = false;
  bool furnished = false;  // has been offered to the peers that came before it
  std::uint32_t restarts = 0;
  Nanos back_off{};
};

// Whether one of them names the other as its peer.
[[nodiscard]] bool are_peers(const Child& a, const Child& b);

[[nodiscard]] Result<net::Descriptor> copy_of(int fd);

class Joiner {
 public:
  using Make = std::function<Result<net::Descriptor>()>;

  // `children` must outlive it.
  Joiner(net::Loop& loop, std::map<std::string, Child>& children)
      : loop_(loop), children_(children), nursery_(loop) {}

  // What `make` makes, anew for each try.
  void give(const std::string& to, const std::string& what, Make make);
  void join(const std::string& a, const std::string& b);
  // A role says that its connection to that peer broke. Both must be each other's peers and live;
  // one that has ended is joined when it is back. More than one a second is passed over. Errors:
  // kDenied.
  [[nodiscard]] Result<void> join_again(const std::string& role, const std::string& peer);
  // A line from this process to a role, of which `ours` takes this end.
  void connect(const std::string& to, std::function<void(net::Descriptor)> ours);

  void cancel_all() { nursery_.cancel_all(); }

 private:
  net::Task<void> keep_giving(std::string to, std::string what, Make make);
  net::Task<void> keep_joining(std::string a, std::string b);
  net::Task<void> keep_connecting(std::string to, std::function<void(net::Descriptor)> ours);
  net::Task<Result<void>> try_join(std::string a, std::string b);
  net::Task<Result<net::Descriptor>> try_connect(std::string to);
  template <class Message>
  net::Task<Result<void>> hand(std::string to, Message message, Result<net::Descriptor> given);

  net::Loop& loop_;
  std::map<std::string, Child>& children_;
  std::map<std::pair<std::string, std::string>, Instant> rejoined_;
  net::Nursery nursery_;
};

}  // namespace gatehouse::supervisor
