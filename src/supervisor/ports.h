// SPDX-License-Identifier: Apache-2.0
// Ports: the listeners at addresses that the config names, each given to the roles that accept
// there: metrics and the admin API to control, that for agents outside of sandboxes to every
// gateway. They move while the house runs: the new one is open before anything else changes. Of the
// supervisor's thread.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "net/descriptor.h"
#include "supervisor/joiner.h"

namespace gatehouse::supervisor {

class Ports {
 public:
  // `joiner` and `children` outlive it.
  Ports(Joiner& joiner, const std::map<std::string, Child>& children)
      : joiner_(joiner), children_(children) {}
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;

  // Listens at all of them. Errors: listen_at_address's, in the words of the config.
  [[nodiscard]] Result<void> open(const PortAddresses& at);
  // Gives a role that has become ready those that are its own.
  void furnish(const std::string& role);

  // One that is elsewhere now, open there already; closed where the config has none.
  struct Moved {
    std::size_t which = 0;
    std::string to;
    net::Descriptor listener;
  };
  // Whether there is one for agents outside of sandboxes at all is of the start: that one alone is
  // passed over where it comes or goes. Errors: of one that cannot be listened at; then all stays
  // as it is.
  [[nodiscard]] Result<std::vector<Moved>> elsewhere(const PortAddresses& at) const;
  // The roles go on for a moment at the one before, and control closes what the config has no more
  // by itself. Returns the key in the config.
  std::string_view use(Moved moved);

 private:
  struct Port {
    const char* key;    // in the config
    const char* given;  // as its roles are given it
    const char* role;
    std::string PortAddresses::* address;
    bool comes_and_goes;  // while the house runs
  };
  static constexpr std::size_t kCount = 3;
  static const std::array<Port, kCount> kPorts;

  void give(const std::string& role, std::size_t which);

  Joiner& joiner_;
  const std::map<std::string, Child>& children_;
  PortAddresses at_;
  std::array<net::Descriptor, kCount> listeners_;
};

}  // namespace gatehouse::supervisor
