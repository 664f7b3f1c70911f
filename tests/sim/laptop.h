// SPDX-License-Identifier: Apache-2.0
// A machine outside with an agent and its forwarder: what `gatehouse attach` does there, towards
// the admin API and the gateways' listener of the simulated house.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "net/loop.h"
#include "net/tls.h"

namespace gatehouse::sim {

// Ed25519, so that every handshake has the same lengths; made once a process.
[[nodiscard]] const net::TlsIdentity& gateways_identity();

class Laptop {
 public:
  // The paths of the sockets that stand for the admin port and the attach port.
  Laptop(net::Loop& loop, std::string admin_path, std::string attach_path);

  // Begins a Run on behalf of that user. Errors: what the API answers; kUnavailable without one.
  [[nodiscard]] net::Task<Result<void>> begin(std::string user);
  // Another token.
  [[nodiscard]] net::Task<Result<void>> renew();
  [[nodiscard]] net::Task<Result<void>> end(int exit_status);
  // Which Runs outside of sandboxes the house has as live.
  [[nodiscard]] net::Task<Result<std::vector<std::string>>> live();
  // To a gateway, with this machine's key; or with another, as who has found the token would.
  [[nodiscard]] net::Task<Result<std::unique_ptr<net::Stream>>> connect(bool as_thief = false);

  [[nodiscard]] const RunId& run() const { return *run_; }
  [[nodiscard]] const TraceId& trace() const { return trace_; }
  [[nodiscard]] const std::string& token() const { return token_; }
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }
  // By the wall clock, as the token says it.
  [[nodiscard]] bool has_expired() const { return loop_.wall().unix_seconds() >= expires_unix_s_; }
  [[nodiscard]] Nanos life() const { return life_; }

 private:
  struct Reply {
    int status = 0;
    std::string body;
  };
  net::Task<Result<Reply>> ask(std::string method, std::string path, std::string body);
  net::Task<Result<Reply>> exchange(net::Stream* stream, std::string request, std::string method);
  Result<void> take(const std::string& body);

  net::Loop& loop_;
  std::string admin_path_;
  std::string attach_path_;
  std::optional<RunId> run_;
  TraceId trace_;
  std::string token_;
  std::string gateway_certificate_;
  std::vector<std::string> environment_;
  std::int64_t expires_unix_s_ = 0;
  Nanos life_{};
};

}  // namespace gatehouse::sim
