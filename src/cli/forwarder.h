// SPDX-License-Identifier: Apache-2.0
// Forwarder: the loopback proxy of an agent outside of a sandbox. It alone has the client's key and
// the run token; the agent has a URL with a password that is good at this port only. What the agent
// asks goes to a gateway over TLS with that key, the password taken out and the token put in; what
// comes back comes back as it is.
//
// It rules on nothing: the gateway does. It checks who asks, because every user of this machine
// reaches a loopback port.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "net/nursery.h"
#include "net/stream.h"
#include "net/tls.h"
#include "wire/http1.h"

namespace gatehouse::cli {

// Where the gateways are, and the certificate that they are known by (PEM, the leaf first).
struct GatewayPlace {
  std::string address;  // HOST:PORT
  std::string certificate_pem;
  friend bool operator==(const GatewayPlace&, const GatewayPlace&) = default;
};

class Forwarder {
 public:
  static constexpr std::size_t kConnectionsMost = 256;

  // `identity` is the client's key and certificate.
  Forwarder(net::Loop& loop, net::TlsIdentity identity);

  // Listens at a loopback port of the kernel's choice. Errors: the kernel's.
  [[nodiscard]] Result<void> open();
  // `http://run:PASSWORD@127.0.0.1:PORT`
  [[nodiscard]] std::string url() const;

  // With this token from now on, until `ends`. Errors: kInvalid for a place that is none.
  [[nodiscard]] Result<void> use(const GatewayPlace& place, Secret token, Instant ends);
  // There will be no further token, and why; what is under way goes on.
  void give_up(Error why);
  // Returns at the deadline, or when the gateways have refused what is used now: their certificate
  // is another, or their keys, or the clock.
  [[nodiscard]] net::Task<void> until_refused(Deadline deadline);

 private:
  struct Agent;
  net::Task<void> accept();
  net::Task<void> serve(std::unique_ptr<net::Stream> stream);
  struct Reached;
  net::Task<Result<Reached>> reach(const wire::RequestHead* head);
  net::Task<void> refuse(Agent* agent, std::string answer);
  net::Task<void> up(Agent* agent, const Reached* reached, wire::RequestHead head,
                     net::Event* broken);
  net::Task<Result<void>> send_head(net::Stream* gateway, const wire::RequestHead* head);
  net::Task<Result<void>> send_body(Agent* agent, net::Stream* gateway, bool is_tunnel,
                                    wire::BodyFraming framing);
  net::Task<Result<std::unique_ptr<net::Stream>>> dial();
  net::Task<Result<std::unique_ptr<net::Stream>>> dial_once(Deadline deadline);
  net::Task<Result<void>> have_token();
  net::Task<void> another_token();
  [[nodiscard]] bool is_of_run(const wire::RequestHead& head) const;
  [[nodiscard]] Result<std::string> signed_head(wire::RequestHead head) const;

  net::Loop& loop_;
  net::TlsIdentity identity_;
  Secret user_and_password_;
  Secret credential_;  // as it stands in a Basic credential (RFC 7617)
  std::unique_ptr<net::Listener> listener_;
  GatewayPlace place_;
  std::shared_ptr<net::TlsClient> tls_;
  Secret token_;
  Instant ends_;
  std::optional<Error> given_up_;
  net::Event renewed_;
  net::Event refused_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::cli
