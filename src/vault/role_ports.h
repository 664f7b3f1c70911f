// SPDX-License-Identifier: Apache-2.0
// The vault on its Role: Ports over the role's channels, and what its peers may ask.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "ipc/kill_table.h"
#include "ipc/ring_offers.h"
#include "ipc/role.h"
#include "vault/service.h"

namespace gatehouse::vault {

class RolePorts : public Ports {
 public:
  explicit RolePorts(ipc::Role& role)
      : role_(role), ring_offers_(role), rouser_(role.loop(), ring_), tasks_(role.loop()) {}

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
  void write_to(std::unique_ptr<ipc::RingWriter> ring);
  // Whether it is in the ring now: not while too much before it is not durable.
  bool put(const std::string& entry);
  [[nodiscard]] bool is_behind();

  struct UnderWay {
    std::uint64_t position = 0;  // behind it
    Instant since;
  };
  ipc::Role& role_;
  ipc::RingOffers ring_offers_;
  std::unique_ptr<ipc::RingWriter> ring_;
  ipc::Rouser rouser_;
  std::deque<UnderWay> under_way_;           // in the ring, and not known to be durable
  std::map<std::string, Gateway> gateways_;  // by name
  ipc::Permits control_;
  std::unique_ptr<ipc::KillTableReader> kills_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::vault
