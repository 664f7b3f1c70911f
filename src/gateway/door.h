// SPDX-License-Identifier: Apache-2.0
// Door: a sandbox's only way out, as the gateway holds it: listeners that sandboxd made inside the
// sandbox's network namespace. The descriptor that a connection came through is the identity; no
// header is. A Run without a sandbox has a Door without listeners: attach.h lets it in.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/known_values.h"
#include "gateway/room.h"
#include "ipc/sandbox.h"
#include "net/nursery.h"
#include "net/stream.h"
#include "wire/address.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

// How a connection came in.
enum class Entrance : std::uint8_t {
  kProxy,     // the explicit proxy: absolute-form and CONNECT
  kCaptured,  // caught on its way to somewhere; the original destination is the socket's local
              // address
};

// Addresses that stand for names inside one sandbox: answered by the Door's DNS, understood when
// one is dialled. IPv4 from 198.18.0.0/15 (RFC 2544), IPv6 from fd67:6174:6568::/64 (RFC 4193).
// They follow from the Run and the name, so that each gateway on a Door knows those that another
// gave.
class SyntheticNames {
 public:
  explicit SyntheticNames(const RunId& run) : run_(run) {}
  struct Pair {
    wire::IpAddress v4;
    wire::IpAddress v6;
  };
  [[nodiscard]] Pair addresses_of(std::string_view name) const;
  [[nodiscard]] bool stands_for(const wire::IpAddress& address, std::string_view name) const;
  [[nodiscard]] static bool is_synthetic(const wire::IpAddress& address);

  // That this gateway gave a name's addresses; bounded: of more it knows what the client says.
  void answered(std::string_view name);
  // The name that was answered with that address here; nothing if none was, or two share it.
  [[nodiscard]] std::optional<std::string> name_of(const wire::IpAddress& address) const;

 private:
  RunId run_;
  std::map<std::string, std::string> name_of_;  // by the address' text; "" for two
};

// Whether the text holds the placeholder: as it is, percent-encoded, or inside a Basic credential
// (RFC 7617), as git and curl -u send it.
[[nodiscard]] bool holds(std::string_view text, const ipc::Placeholder& placeholder);

// Of bodies, in memory, at a time, for one Run: so many of the largest as a busy agent has under
// way.
inline constexpr std::size_t kBodiesOfARunMost = std::size_t{64} * 1024 * 1024;

struct Door {
  Door(net::Loop& loop, ipc::OpenDoor opened)
      : run(std::move(opened.run)),
        run_text(run.run.text()),
        trace_text(run.trace.text()),
        placeholders(std::move(opened.placeholders)),
        names(run.run),
        turned_away(loop),
        tasks(loop) {}

  // Header lines of every answer: which Run, which trace.
  [[nodiscard]] std::string headers() const;
  // The first placeholder of this Run that is held; null if none.
  [[nodiscard]] const ipc::Placeholder* placeholder_in(std::string_view text) const;
  [[nodiscard]] const ipc::Placeholder* placeholder_in(const wire::RequestHead& head) const;
  // Whether the text holds what is made like a placeholder and is none of this Run's.
  [[nodiscard]] bool holds_foreign(std::string_view text) const;

  ipc::RunSpec run;
  std::string run_text;  // as answers and requests name them
  std::string trace_text;
  std::vector<ipc::Placeholder> placeholders;
  // Of the client certificate that a Run without a sandbox comes with; "" for one with a sandbox,
  // to which no certificate is the way.
  std::string thumbprint;
  SyntheticNames names;
  KnownValues known;
  std::vector<std::unique_ptr<net::Listener>> listeners;
  net::Descriptor dns;
  std::uint64_t connections = 0;  // that are open now
  Room bodies{kBodiesOfARunMost};
  net::Nursery turned_away;  // a task for each of more than those, while it is told so
  // Last, so that it goes first: accept loops, DNS, and a task per connection.
  net::Nursery tasks;
};

}  // namespace gatehouse::gateway
