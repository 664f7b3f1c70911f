// SPDX-License-Identifier: Apache-2.0
#include "egress/egress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wire/address.h"
#include "wire/http1.h"
#include "wire/url.h"

namespace gatehouse::egress {
namespace {

using net::Task;
using wire::AddressClass;

constexpr std::size_t kPlacesMost = 3;   // addresses that the proxy is asked for in turn
constexpr std::size_t kInterimMost = 4;  // 1xx answers before the real one
constexpr std::string_view kAnswer = "the proxy's answer: ";

bool may_dial(const net::Endpoint& at, bool allow_private) {
  const auto address = wire::IpAddress::parse(at.host);
  if (!address) return false;
  switch (wire::address_class(*address)) {
    case AddressClass::kPublic:
      return true;
    case AddressClass::kLoopback:
    case AddressClass::kPrivate:
    case AddressClass::kCgnat:
      return allow_private;
    default:
      return false;  // metadata, link-local, multicast, reserved: never
  }
}

std::string class_of(const net::Endpoint& endpoint) {
  const auto address = wire::IpAddress::parse(endpoint.host);
  return address ? std::string(wire::label(wire::address_class(*address))) : "unknown";
}

// As a CONNECT request names it.
std::string place_of(const std::string& host, std::uint16_t port) {
  const auto address = wire::IpAddress::parse(host);
  return fmt::format("{}:{}", address ? wire::Host::of(*address).text() : host, port);
}

// The request, in memory that is wiped when it goes.
class ConnectRequest {
 public:
  ConnectRequest() = default;
  ConnectRequest(const ConnectRequest&) = delete;
  ConnectRequest& operator=(const ConnectRequest&) = delete;
  ~ConnectRequest() { wipe({text_.data(), text_.capacity()}); }

  void fill(const std::string& place, const Secret& authorization) {
    text_.reserve(2 * place.size() + authorization.size() + 128);
    text_ += "CONNECT ";
    text_ += place;
    text_ += " HTTP/1.1\r\nhost: ";
    text_ += place;
    if (!authorization.empty()) {
      text_ += "\r\nproxy-authorization: ";
      text_ += authorization.open(Purpose::kInject);
    }
    text_ += "\r\n\r\n";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// The status of the final head. What follows a head that opens the tunnel would be the other end's
// word before it was asked anything.
Task<Result<int>> read_status(net::Stream* proxy, Deadline deadline) {
  std::array<char, 4096> buffer{};
  std::string waiting;
  for (std::size_t heads = 0; heads <= kInterimMost; ++heads) {
    wire::ResponseParser parser;
    while (!parser.done()) {
      if (waiting.empty()) {
        const std::size_t got = CO_TRY(co_await proxy->read(buffer, deadline));
        if (got == 0) co_return failure(Error::kUnreachable, "the proxy closed without an answer");
        waiting.assign(buffer.data(), got);
      }
      const auto progress = parser.feed(waiting);
      if (!progress) {
        co_return failure(Error::kUnreachable, std::string(kAnswer) + progress.error().message());
      }
      waiting.erase(0, progress->consumed);
    }
    const int status = parser.take().status;
    if (status < 200) continue;
    if (status < 300 && !waiting.empty()) {
      co_return failure(Error::kUnreachable,
                        std::string(kAnswer) + "more came than the head that opens a tunnel");
    }
    co_return status;
  }
  co_return failure(Error::kUnreachable, std::string(kAnswer) + "none but interim ones came");
}

std::string refusal(const std::string& proxy, const std::string& place, int status,
                    bool has_credentials) {
  if (status == 407) {
    return fmt::format("the proxy {} {} (407): see upstream_proxy.credentials_file", proxy,
                       has_credentials ? "does not take the credentials" : "wants credentials");
  }
  return fmt::format("the proxy {} does not connect to {}: it answers {}", proxy, place, status);
}

}  // namespace

void Dialer::use(ipc::NetworkSpec network) {
  if (network.extra_ca_pem != network_.extra_ca_pem) tls_.clear();
  network_ = std::move(network);
}

void Dialer::use_credentials(Secret authorization, std::string proxy) {
  if (credentials_[0].proxy != proxy) std::swap(credentials_[0], credentials_[1]);
  credentials_[0] = {std::move(proxy), std::make_shared<const Secret>(std::move(authorization))};
}

std::shared_ptr<const Secret> Dialer::credentials_for(const ipc::NetworkSpec& network) const {
  const std::string name = ipc::proxy_of(network);
  for (const Credentials& each : credentials_) {
    if (each.proxy == name && each.authorization && !each.authorization->empty()) {
      return each.authorization;
    }
  }
  return nullptr;
}

Task<Result<Dialled>> Dialer::dial(Target to, Deadline deadline) {
  const ipc::NetworkSpec network = network_;  // it may be another when a wait is over
  const bool direct = ipc::is_direct(network, to.host);
  const bool is_name = !wire::IpAddress::parse(to.host);
  Stream socket;
  if (!direct && network.proxy_resolves && is_name) {
    socket = CO_TRY(co_await through_proxy(network, {place_of(to.host, to.port)}, deadline));
  } else {
    Addresses addresses = CO_TRY(co_await checked_addresses(to, deadline));
    const bool near = std::all_of(addresses.begin(), addresses.end(), [&](const auto& address) {
      return ipc::is_named(network, *wire::IpAddress::parse(address.host));
    });
    if (direct || near) {
      socket = CO_TRY(co_await connect_any(std::move(addresses), to.host, deadline));
    } else {
      std::vector<std::string> places;
      for (const net::Endpoint& address : addresses) {
        places.push_back(place_of(address.host, address.port));
      }
      socket = CO_TRY(co_await through_proxy(network, std::move(places), deadline));
    }
  }
  if (!to.tls) co_return Dialled{std::move(socket), false};
  co_return co_await secured(std::move(socket), std::move(to), network.extra_ca_pem, deadline);
}

Task<Result<Dialer::Addresses>> Dialer::checked_addresses(Target to, Deadline deadline) {
  Addresses addresses = CO_TRY(co_await resolver_.resolve(to.host, to.port, deadline));
  for (const net::Endpoint& address : addresses) {
    if (may_dial(address, to.allow_private)) continue;
    co_return failure(
        Error::kDenied,
        fmt::format("{} is at {}, which is {}; set allow_private for the service if it is meant to "
                    "be there (never possible for metadata services)",
                    to.host, address.host, class_of(address)));
  }
  co_return addresses;
}

Task<Result<Dialer::Stream>> Dialer::connect_any(Addresses addresses, std::string to,
                                                 Deadline deadline) {
  Error last(Error::kUnreachable, to + " has no address");
  for (const net::Endpoint& address : addresses) {
    auto socket = co_await loop_.connect(address, deadline);
    if (socket) co_return std::move(*socket);
    last = socket.error();
  }
  co_return Failure(std::move(last));
}

Task<Result<Dialer::Stream>> Dialer::through_proxy(ipc::NetworkSpec network,
                                                   std::vector<std::string> places,
                                                   Deadline deadline) {
  if (network.proxy_wants_credentials && !credentials_for(network)) {
    co_return failure(Error::kUnreachable,
                      "the proxy's credentials are not known yet; nothing passes without them");
  }
  Target proxy{network.proxy_host, network.proxy_port, false, "", true};
  const Addresses at = CO_TRY(co_await checked_addresses(std::move(proxy), deadline));
  if (places.size() > kPlacesMost) places.resize(kPlacesMost);
  Error last(Error::kUnreachable, "there is no place to ask the proxy for");
  for (const std::string& place : places) {
    auto socket = co_await ask_proxy(network, at, place, deadline);
    if (socket) co_return std::move(*socket);
    last = socket.error();
  }
  co_return Failure(std::move(last));
}

Task<Result<Dialer::Stream>> Dialer::ask_proxy(ipc::NetworkSpec network, Addresses proxy,
                                               std::string place, Deadline deadline) {
  const std::string name = place_of(network.proxy_host, network.proxy_port);
  auto socket = co_await connect_any(std::move(proxy), name, deadline);
  if (!socket) co_return Failure(socket.error().in("reaching the proxy " + name));
  const auto credentials = network.proxy_wants_credentials ? credentials_for(network) : nullptr;
  const bool has_credentials = credentials != nullptr;
  const Secret none;
  ConnectRequest request;
  request.fill(place, has_credentials ? *credentials : none);
  CO_TRY(co_await (*socket)->write(request.text(), deadline));
  const Result<int> status = co_await read_status(socket->get(), deadline);
  if (!status) co_return Failure(status.error().in("asking the proxy " + name));
  if (*status >= 300) {
    co_return failure(Error::kUnreachable, refusal(name, place, *status, has_credentials));
  }
  co_return std::move(*socket);
}

Task<Result<Dialled>> Dialer::secured(Stream socket, Target to, std::string extra_ca_pem,
                                      Deadline deadline) {
  net::TlsClient::Wish wish{to.host, to.http2, std::nullopt};
  if (!to.spiffe_id.empty()) wish.spiffe_id = CO_TRY(net::SpiffeId::parse(to.spiffe_id));
  net::TlsClient::Options options;
  options.system_roots = !wish.spiffe_id;
  options.extra_ca_pem = wish.spiffe_id ? to.ca_pem : to.ca_pem + extra_ca_pem;
  options.identity = to.identity ? &to.identity->tls : nullptr;
  std::string key = fmt::format("{}\n{}\n{}", options.system_roots,
                                to.identity ? to.identity->name : "", options.extra_ca_pem);
  auto found = tls_.find(key);
  if (found == tls_.end()) {
    auto client = CO_TRY(net::TlsClient::make(options));
    found = tls_.emplace(std::move(key), std::move(client)).first;
  }
  const std::shared_ptr<net::TlsClient> client = found->second;  // it may be dropped meanwhile
  auto connected =
      CO_TRY(co_await client->connect(loop_, std::move(socket), std::move(wish), deadline));
  co_return Dialled{std::move(connected.stream), connected.speaks_http2};
}

}  // namespace gatehouse::egress
