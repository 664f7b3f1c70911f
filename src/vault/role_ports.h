// SPDX-License-Identifier: Apache-2.0
// The vault on its Role: Ports over the role's channels, and what its peers may ask.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "ipc/kill_table.h"
#include "ipc/role.h"
#include "vault/service.h"

namespace gatehouse::vault {

class RolePorts : public Ports {
 public:
  explicit RolePorts(ipc::Role& role) : role_(role), tasks_(role.loop()) {}

  // Lets the peers ask `service`, and follows the kill table. The service must outlive this.
  void serve(Service& service);

  // Without a kill table everything counts as killed.
  bool is_killed(const RunId& run) override { return !kills_ || kills_->is_killed(run); }
  net::Task<Result<void>> record(Use use) override;
  net::Task<Result<ipc::Posted>> post(ipc::Post request, Deadline deadline) override;

 private:
  struct Gateway {
    ipc::Permits permits;
    std::uint64_t arrivals = 0;
  };
  net::Task<void> end_leases_with(net::Task<void> closed, Service* service, std::string name,
                                  std::uint64_t arrival);
  net::Task<void> watch(net::Descriptor bell, Service* service);
  net::Task<void> send(std::string bytes);
  net::Task<Result<void>> catch_up();

  ipc::Role& role_;
  std::map<std::string, Gateway> gateways_;  // by name
  ipc::Permits control_;
  bool is_catching_up_ = false;
  std::size_t under_way_ = 0;
  std::unique_ptr<ipc::KillTableReader> kills_;
  std::deque<std::string> unrecorded_;  // what the log did not take; it goes first when it is back
  net::Nursery tasks_;
};

}  // namespace gatehouse::vault
