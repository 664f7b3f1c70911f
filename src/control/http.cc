// SPDX-License-Identifier: Apache-2.0
#include "control/http.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>

#include "base/log.h"
#include "wire/address.h"
#include "wire/http1.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kIdleMost = std::chrono::seconds(60);
constexpr Nanos kRequestMost = std::chrono::seconds(20);  // from its first byte to its last
constexpr Nanos kWriteMost = std::chrono::seconds(20);
constexpr Nanos kPause = std::chrono::milliseconds(100);

// What a connection has sent and nobody has read yet.
struct Inbox {
  net::Stream* stream;
  std::string waiting;
  // False at the end of the stream.
  Task<Result<bool>> fill(Deadline deadline) {
    std::array<char, 8192> buffer;
    const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
    waiting.append(buffer.data(), got);
    co_return got > 0;
  }
};

// Nothing when the peer ended between two requests.
Task<Result<std::optional<wire::RequestHead>>> read_head(net::Loop* loop, Inbox* inbox) {
  wire::RequestParser parser;
  Deadline deadline = loop->in(kIdleMost);
  while (true) {
    if (!inbox->waiting.empty()) {
      const wire::HeadProgress progress = CO_TRY(parser.feed(inbox->waiting));
      inbox->waiting.erase(0, progress.consumed);
      if (progress.done) co_return parser.take();
      deadline = std::min(deadline, loop->in(kRequestMost));
    }
    const Result<bool> more = co_await inbox->fill(deadline);
    if (parser.untouched() && (!more || !*more)) co_return std::nullopt;
    if (!more && more.error() == Error::kTimeout) {
      co_return failure(Error::kTooSlow, "the request did not come in time");
    }
    if (!CO_TRY(Result<bool>(more))) {
      co_return failure(Error::kInvalid, "the request broke off in its head");
    }
  }
}

Task<Result<std::string>> read_body(net::Loop* loop, Inbox* inbox, wire::BodyFraming framing) {
  wire::BodyReader reader(framing);
  std::string body;
  const Deadline deadline = loop->in(kRequestMost);
  while (!reader.done()) {
    while (!inbox->waiting.empty() && !reader.done()) {
      const wire::BodyPiece piece = CO_TRY(reader.feed(inbox->waiting));
      body += piece.payload;
      inbox->waiting.erase(0, piece.consumed);
      if (body.size() > kApiBodyMost) {
        co_return failure(Error::kTooLarge, "the body is larger than 256 KiB");
      }
    }
    if (reader.done()) break;
    if (!CO_TRY(co_await inbox->fill(deadline))) {
      co_return failure(Error::kInvalid, "the request broke off in its body");
    }
  }
  co_return body;
}

std::string response_of(const ApiAnswer& answer, bool ends) {
  wire::ResponseHead head;
  head.status = answer.status;
  head.reason = wire::reason_phrase(answer.status);
  if (answer.status != 204) {
    head.headers.add("content-type", answer.type);
    head.headers.add("content-length", std::to_string(answer.body.size()));
  }
  head.headers.add("cache-control", "no-store");
  head.headers.add("x-content-type-options", "nosniff");
  if (!answer.etag.empty()) head.headers.add("etag", answer.etag);
  if (!answer.location.empty()) head.headers.add("location", answer.location);
  if (answer.is_replayed) head.headers.add("idempotency-replayed", "true");
  if (answer.status == 401) head.headers.add("www-authenticate", "Bearer realm=\"gatehouse\"");
  if (ends) head.headers.add("connection", "close");
  std::string out;
  if (!wire::append_response_head(out, head)) return "";  // no value of ours breaks a head
  if (answer.status != 204) out += answer.body;
  return out;
}

bool is_at_loopback(const net::Descriptor& listener) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* address =
      at.ss_family == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&at)->sin6_addr)
          : &reinterpret_cast<const sockaddr_in*>(&at)->sin_addr;
  if (inet_ntop(at.ss_family, address, text.data(), text.size()) == nullptr) return false;
  const auto parsed = wire::IpAddress::parse(text.data());
  return parsed && wire::address_class(*parsed) == wire::AddressClass::kLoopback;
}

}  // namespace

HttpFront::HttpFront(net::Loop& loop, Handler handler, std::uint32_t owner_uid)
    : loop_(loop), handler_(std::move(handler)), owner_uid_(owner_uid), local_(loop), tcp_(loop) {
  local_.is_local = true;
}

Result<void> HttpFront::open_local(net::Descriptor listener) {
  return open(local_, std::move(listener), nullptr);
}

Result<void> HttpFront::open_tcp(net::Descriptor listener, std::shared_ptr<net::TlsServer> tls) {
  // The config that this process read need not be the one that the listener was made by.
  if (tls == nullptr && !is_at_loopback(listener)) {
    return failure(Error::kDenied,
                   "it listens beyond loopback, and there is no certificate now: sessions do not "
                   "travel in the clear. Start the gatehouse again");
  }
  return open(tcp_, std::move(listener), std::move(tls));
}

Result<void> HttpFront::open(Door& door, net::Descriptor listener,
                             std::shared_ptr<net::TlsServer> tls) {
  auto port =
      std::make_shared<Port>(TRY(loop_.adopt_listener(std::move(listener))), std::move(tls));
  retire(door);
  door.port = std::move(port);
  door.accepting.spawn(accept(&door, door.port, Deadline::never()));
  return {};
}

void HttpFront::use_tls(std::shared_ptr<net::TlsServer> tls) {
  if (tcp_.port) tcp_.port->tls = std::move(tls);
}

// What the kernel has already taken for it would be reset with it.
void HttpFront::retire(Door& door) {
  if (!door.port) return;
  door.accepting.cancel_all();
  door.retiring.spawn(accept(&door, std::move(door.port), loop_.in(kLeavesAfter)));
}

Task<void> HttpFront::accept(Door* door, std::shared_ptr<Port> port, Deadline until) {
  while (true) {
    auto stream = co_await port->listener->accept(until);
    if (!stream && (stream.error() == Error::kClosed || stream.error() == Error::kTimeout)) {
      co_return;
    }
    if (!stream) {
      co_await loop_.sleep_for(kPause);
      continue;
    }
    if (door->people.size() >= kConnectionsMost) {
      log_warning("too many connections to the admin API", {{"most", kConnectionsMost}});
      continue;
    }
    if (port->tls != nullptr) {
      door->people.spawn(serve_tls(port->tls, *std::move(stream)));
      continue;
    }
    std::optional<std::uint32_t> uid;
    if (door->is_local) {
      if (const auto peer = net::peer_uid(**stream)) uid = *peer;
    }
    door->people.spawn(serve(*std::move(stream), uid));
  }
}

Task<void> HttpFront::serve_tls(std::shared_ptr<net::TlsServer> tls,
                                std::unique_ptr<net::Stream> socket) {
  auto accepted = co_await tls->accept(loop_, std::move(socket), loop_.in(kRequestMost));
  if (accepted) co_await serve(std::move(accepted->stream), std::nullopt);
}

Task<void> HttpFront::serve(std::unique_ptr<net::Stream> stream, std::optional<std::uint32_t> uid) {
  Inbox inbox{stream.get(), ""};
  while (true) {
    auto head = co_await read_head(&loop_, &inbox);
    if (head && !*head) co_return;
    bool ends = true;
    ApiAnswer answer;
    Result<std::string> body = "";
    if (head) body = co_await read_body(&loop_, &inbox, (*head)->framing);
    if (!head || !body) {
      answer = problem_of(head ? body.error() : head.error());
    } else if (auto request = parse_request(**head, *std::move(body)); !request) {
      answer = problem_of(request.error());
    } else {
      // Nothing here answers HEAD, and its answer would have a body.
      ends = (*head)->method == "HEAD" || wire::ends_connection((*head)->version, (*head)->headers);
      request->is_house = uid && (*uid == 0 || *uid == owner_uid_);
      request->uid = uid.value_or(0);
      answer = co_await handler_(*std::move(request));
    }
    const auto written = co_await stream->write(response_of(answer, ends), loop_.in(kWriteMost));
    if (!written || ends) break;
  }
  (void)co_await stream->finish(loop_.in(kWriteMost));
}

}  // namespace gatehouse::control
