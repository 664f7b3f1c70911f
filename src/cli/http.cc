// SPDX-License-Identifier: Apache-2.0
#include "cli/http.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "net/nursery.h"
#include "net/real_loop.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "wire/http1.h"

namespace gatehouse::cli {
namespace {

using net::Task;

constexpr Nanos kAnswerMost = std::chrono::seconds(60);
constexpr std::size_t kBodyMost = 64 * 1024 * 1024;

Task<Result<std::unique_ptr<net::Stream>>> dial_url(net::Loop* loop, HttpPlace place,
                                                    Deadline deadline) {
  const wire::Url url = CO_TRY(wire::Url::parse(place.origin));
  const std::string name = url.host.ip() ? url.host.ip()->text() : url.host.text();
  const auto resolver = CO_TRY(net::Resolver::make(*loop));
  const auto addresses = CO_TRY(co_await resolver->resolve(name, url.port, deadline));
  Error last(Error::kUnreachable, name + " has no address");
  for (const net::Endpoint& address : addresses) {
    auto socket = co_await loop->connect(address, deadline);
    if (!socket) {
      last = Error(Error::kUnreachable,
                   fmt::format("{} cannot be reached: {}", place.origin, socket.error().message()));
      continue;
    }
    if (url.scheme == wire::Scheme::kHttp) co_return *std::move(socket);
    const auto tls = CO_TRY(net::TlsClient::make({.extra_ca_pem = place.ca_pem}));
    co_return co_await tls->connect(*loop, *std::move(socket), name, deadline);
  }
  co_return Failure(std::move(last));
}

Task<Result<std::unique_ptr<net::Stream>>> dial(net::Loop* loop, HttpPlace place,
                                                Deadline deadline) {
  if (place.socket.empty()) co_return co_await dial_url(loop, std::move(place), deadline);
  auto stream = co_await loop->connect(net::Endpoint::unix_path(place.socket), deadline);
  if (!stream) {
    co_return failure(Error::kUnavailable,
                      fmt::format("no gatehouse listens at {}; start it with `gatehouse up`, or "
                                  "name its data directory with --data",
                                  place.socket));
  }
  co_return *std::move(stream);
}

Result<std::string> text_of(const HttpPlace& place, const HttpRequest& request) {
  wire::RequestHead head;
  head.method = request.method;
  head.target = request.target;
  std::string host = "localhost";
  if (place.socket.empty()) {
    const std::string origin = TRY(wire::Url::parse(place.origin)).origin();
    host = origin.substr(origin.find("://") + 3);
  }
  head.headers.add("host", host);
  head.headers.add("accept", "application/json");
  head.headers.add("connection", "close");
  head.headers.add("content-length", std::to_string(request.body.size()));
  for (const auto& [name, value] : request.headers) {
    head.headers.add(TRY(wire::HeaderName::parse(name)), value);
  }
  std::string text;
  TRY(wire::append_request_head(text, head));
  return text + request.body;
}

Task<Result<HttpReply>> read_reply(net::Stream* stream, const std::string* method,
                                   Deadline deadline) {
  std::array<char, 16 * 1024> buffer;
  std::string waiting;
  wire::ResponseParser parser;
  while (!parser.done()) {
    const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
    if (got == 0) co_return failure(Error::kUpstream, "no answer came");
    waiting.append(buffer.data(), got);
    const auto progress = CO_TRY(parser.feed(waiting));
    waiting.erase(0, progress.consumed);
  }
  const wire::ResponseHead head = parser.take();
  HttpReply reply;
  reply.status = head.status;
  reply.etag = head.headers.find("etag").value_or("");
  reply.type = head.headers.find("content-type").value_or("");
  wire::BodyReader reader(CO_TRY(wire::response_framing(head, *method)));
  while (!reader.done()) {
    while (!waiting.empty() && !reader.done()) {
      const auto piece = CO_TRY(reader.feed(waiting));
      reply.body += piece.payload;
      waiting.erase(0, piece.consumed);
      if (reply.body.size() > kBodyMost) co_return failure(Error::kTooLarge, "a huge answer");
    }
    if (reader.done()) break;
    const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
    if (got == 0) {
      CO_TRY(reader.finish());
      break;
    }
    waiting.append(buffer.data(), got);
  }
  co_return reply;
}

Task<void> run(net::Loop* loop, HttpPlace place, HttpRequest request,
               std::optional<Result<HttpReply>>* into) {
  *into = co_await http_on(*loop, std::move(place), std::move(request));
  loop->stop();
}

}  // namespace

Task<Result<HttpReply>> http_on(net::Loop& loop, HttpPlace place, HttpRequest request) {
  const Deadline deadline = loop.in(kAnswerMost);
  const std::string text = CO_TRY(text_of(place, request));
  const auto stream = CO_TRY(co_await dial(&loop, place, deadline));
  CO_TRY(co_await stream->write(text, deadline));
  co_return co_await read_reply(stream.get(), &request.method, deadline);
}

Result<HttpReply> http(const HttpPlace& place, const HttpRequest& request) {
  const auto loop = net::make_real_loop();
  std::optional<Result<HttpReply>> reply;
  net::Nursery nursery(*loop);
  nursery.spawn(run(loop.get(), place, request, &reply));
  loop->run();
  if (!reply) return failure(Error::kInternal, "the request ended without an answer");
  return *std::move(reply);
}

}  // namespace gatehouse::cli
