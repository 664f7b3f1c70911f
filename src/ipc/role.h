// SPDX-License-Identifier: Apache-2.0
// Role: how a process of the house lives. It is born with descriptor 3, its line to the supervisor,
// and everything else (peers, listeners, the kill table) comes through it; a peer that is restarted
// comes again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ipc/channel.h"
#include "ipc/supervisor.h"
#include "net/stream.h"

namespace gatehouse::ipc {

inline constexpr int kSupervisorDescriptor = 3;

class Role {
 public:
  explicit Role(net::Loop& loop);
  ~Role();
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  // What this role answers to peers whose name is `peer` or starts with `peer.`; unnamed peers may
  // ask nothing.
  void serve(std::string peer, const Permits& permits);
  // The same, with a table of its own for each peer of several ("gateway", "gateway.1"), made when
  // it arrives; what `table` returns must outlive the peer.
  using TableOf = std::function<const Permits&(const std::string& peer)>;
  void serve_each(std::string peer, TableOf table);
  // Called at each arrival of a peer of that name, for roles that must tell it something first.
  void on_peer(std::string peer, std::function<void(Channel&)> arrived);
  void on_descriptor(std::string name, std::function<void(net::Descriptor)> arrived);
  // Called when a peer asks what it may not, or sends what is no message; its connection is closed
  // then. For the log: a role that does this is not what it was.
  void on_breach(std::function<void(const std::string& peer, const Error& why)> told);
  // What the supervisor may ask beside attaching.
  [[nodiscard]] Permits& from_supervisor() { return supervisor_permits_; }

  // Takes over its line to the supervisor, tells it that this role serves, and calls `orphaned`
  // when the line ends. Errors: kInvalid.
  [[nodiscard]] Result<void> begin(net::Descriptor line, std::function<void()> orphaned);
  // As a process of its own: begins with descriptor 3 and serves until that line ends; then the
  // process must end.
  [[nodiscard]] Result<void> run();
  // Drops every line, as the end of the process does: what was asked of this role is cancelled.
  void leave();
  // Tells the supervisor that this role serves.
  void ready();

  [[nodiscard]] Channel* peer(const std::string& name);  // null while it is away
  // The names of the peers that are there and are `role`, or one of several: `role.1`.
  [[nodiscard]] std::vector<std::string> peers_of(const std::string& role) const;
  template <class Request>
  [[nodiscard]] net::Task<Result<typename Request::Reply>> call(std::string to, Request request,
                                                                Deadline deadline) {
    Channel* channel = to == "supervisor" ? supervisor_.get() : peer(to);
    if (channel == nullptr) co_return failure(Error::kUnavailable, to + " is away; try again");
    co_return co_await channel->call(std::move(request), deadline);
  }
  [[nodiscard]] Channel* supervisor() { return supervisor_.get(); }
  [[nodiscard]] net::Loop& loop() { return loop_; }

 private:
  struct Peer {
    std::unique_ptr<Channel> channel;
    std::uint64_t number = 0;  // of attachments in this process's life
  };
  net::Task<Result<Done>> attach(AttachPeer request, std::vector<net::Descriptor> ends);
  net::Task<void> tell_loss(std::string name, std::uint64_t number);
  net::Task<Result<Done>> take(std::string name, std::vector<net::Descriptor> given);
  const Permits& permits_for(const std::string& peer) const;

  net::Loop& loop_;
  Permits nothing_;
  Permits supervisor_permits_;
  std::map<std::string, TableOf> served_;
  std::map<std::string, std::function<void(Channel&)>> on_peer_;
  std::map<std::string, std::function<void(net::Descriptor)>> on_descriptor_;
  std::function<void(const std::string&, const Error&)> breached_;
  std::map<std::string, Peer> peers_;
  std::uint64_t attached_ = 0;
  std::unique_ptr<Channel> supervisor_;
  net::Nursery nursery_;
};

}  // namespace gatehouse::ipc
