// SPDX-License-Identifier: Apache-2.0
// Attachments: the Runs without a sandbox (docs/attach.md). Each has a client certificate, by its
// thumbprint, and is live as long as its forwarder renews its run token. Every gateway is told of
// each. Of control's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/control.h"
#include "control/run_token_keys.h"
#include "net/turn.h"

namespace gatehouse::control {

// What agents outside of sandboxes come in by.
struct AttachPlace {
  std::string address;  // HOST:PORT that they dial
  std::string certificate_pem;
  Secret private_key_pem;
  Nanos token_life = std::chrono::minutes(10);
};

// A run token and when it is over.
struct MintedToken {
  Secret token;
  Nanos life{};
};

struct Attached {
  Run run;
  MintedToken token;
  std::vector<std::string> environment;  // NAME=VALUE
  std::string ca_certificate_pem;        // the tenant's, for interception
};

class Attachments final : public Outside {
 public:
  // All must outlive it.
  Attachments(net::Loop& loop, StateStore& store, Control& control, RunTokenKeys keys,
              AttachPlace place);

  struct Wish {
    std::string tenant;
    std::string user;
    std::string agent;
    std::string thumbprint;  // 32 bytes
    std::string by;
    std::vector<std::string> environment;  // NAME=VALUE that is asked for
  };
  // Begins a Run; every gateway that is there knows it when this returns. Errors: kNotFound,
  // kInvalid, kKilled, kTooMany, kUnavailable, kAuditUnavailable.
  [[nodiscard]] net::Task<Result<Attached>> attach(Wish wish);
  // Another token for the same certificate. Errors: kDenied for anybody but who began the Run, or
  // when its user or agent are gone, which ends it; kNotFound when it is over; kKilled while it is,
  // which keeps it.
  [[nodiscard]] net::Task<Result<MintedToken>> renew(Run run, std::string by);
  // Errors: kDenied likewise.
  [[nodiscard]] net::Task<Result<void>> detach(Run run, std::string by, std::int32_t exit_status);

  [[nodiscard]] const AttachPlace& place() const { return place_; }
  // Another certificate and its key, which the gateways have with what is published next.
  void use(std::string certificate_pem, Secret private_key_pem) {
    place_.certificate_pem = std::move(certificate_pem);
    place_.private_key_pem = std::move(private_key_pem);
  }

  // Where forwarders find the gateways from their next renewal on.
  void advertise(std::string address) { place_.address = std::move(address); }

  // For Control.
  void add_keys(ipc::Snapshot& snapshot) override;
  [[nodiscard]] net::Task<Result<void>> tell(std::string gateway) override;

 private:
  net::Task<Result<MintedToken>> mint(Run run);
  net::Task<Result<void>> change_key();
  net::Task<void> watch();
  net::Task<void> look_after(Run run, Instant now);
  net::Task<Result<ipc::OpenAttachment>> opening_of(Run run);
  [[nodiscard]] Result<std::string> what_is_gone(const Run& run);

  net::Loop& loop_;
  StateStore& store_;
  Control& control_;
  RunTokenKeys keys_;
  AttachPlace place_;
  // When each forwarder was last heard of; a start of control counts as that.
  std::map<RunId, Instant> heard_;
  net::Turns key_changes_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::control
