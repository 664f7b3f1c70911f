// SPDX-License-Identifier: Apache-2.0
#include "courier/courier.h"

#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "ipc/counters.h"
#include "wire/http1.h"

namespace gatehouse::courier {
namespace {

using net::Task;

constexpr Nanos kPostMost = std::chrono::seconds(18);  // below the vault's own patience
constexpr std::size_t kAnswerMost = 48 * 1024;

bool is_loopback(const wire::Host& host) {
  return host.ip() ? wire::address_class(*host.ip()) == wire::AddressClass::kLoopback
                   : host.text() == "localhost";
}

// The request with its secrets, in one buffer that is wiped when it goes.
class Request {
 public:
  ~Request() { wipe({text_.data(), text_.capacity()}); }
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Result<void> fill_get(const wire::Url& url) {
    wire::RequestHead head;
    head.method = "GET";
    head.target = url.path_and_query;
    head.headers.add("host", url.authority());
    head.headers.add("accept", "application/json");
    head.headers.add("connection", "close");
    return wire::append_request_head(text_, head);
  }

  Result<void> fill(const wire::Url& url, const ipc::Post& post) {
    text_.reserve(4096 + post.form.size() + post.authorization.size());
    wire::RequestHead head;
    head.method = "POST";
    head.target = url.path_and_query;
    head.headers.add("host", url.authority());
    head.headers.add("content-type", "application/x-www-form-urlencoded");
    head.headers.add("accept", "application/json");
    head.headers.add("content-length", std::to_string(post.form.size()));
    head.headers.add("connection", "close");
    if (!post.traceparent.empty()) head.headers.add("traceparent", post.traceparent);
    TRY(wire::append_request_head(text_, head));
    if (!post.authorization.empty()) {
      const std::string_view value = post.authorization.open(Purpose::kInject);
      if (!wire::all_are(wire::kValueChar, value)) {
        return failure(Error::kInvalid, "an authorization that no header may hold");
      }
      text_.resize(text_.size() - 2);
      text_ += "authorization: ";
      text_ += value;
      text_ += "\r\n\r\n";
    }
    text_ += post.form.open(Purpose::kTransport);
    return {};
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// An answer on its way in; wiped when it goes.
struct Answer {
  std::string body;
  ~Answer() { wipe({body.data(), body.capacity()}); }
};

Task<Result<ipc::Posted>> read_answer(net::Stream* stream, std::string_view method,
                                      Deadline deadline) {
  const auto broken = [](std::string_view why) {
    return failure(Error::kUpstream, fmt::format("the authorization server's answer: {}", why));
  };
  std::array<char, 8192> buffer;
  std::string waiting;
  wire::ResponseParser parser;
  while (!parser.done()) {
    const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
    if (got == 0) co_return broken("none came");
    waiting.append(buffer.data(), got);
    const auto progress = parser.feed(waiting);
    if (!progress) co_return broken(progress.error().message());
    waiting.erase(0, progress->consumed);
  }
  const wire::ResponseHead head = parser.take();
  const wire::BodyFraming framing = CO_TRY(wire::response_framing(head, method));
  wire::BodyReader reader(framing);
  Answer answer;
  answer.body.reserve(kAnswerMost);
  while (!reader.done()) {
    while (!waiting.empty() && !reader.done()) {
      const auto piece = reader.feed(waiting);
      if (!piece) co_return broken(piece.error().message());
      if (answer.body.size() + piece->payload.size() > kAnswerMost)
        co_return broken("it is too long");
      answer.body += piece->payload;
      waiting.erase(0, piece->consumed);
    }
    if (reader.done()) break;
    const Result<std::size_t> got = co_await stream->read(buffer, deadline);
    if (!got || *got == 0) {
      CO_TRY(reader.finish());
      break;
    }
    waiting.append(buffer.data(), *got);
  }
  wipe(buffer);
  wipe({waiting.data(), waiting.capacity()});
  co_return ipc::Posted{head.status, Secret(answer.body), 0, 0};
}

}  // namespace

namespace {

Result<void> refuse_in_the_clear(const ipc::RegisteredEndpoint& endpoint, const wire::Url& url) {
  if (url.scheme == wire::Scheme::kHttps) return {};
  if (endpoint.allow_private && is_loopback(url.host)) return {};
  return failure(Error::kInvalid, fmt::format("{} is not https; credentials go in the clear to "
                                              "loopback only",
                                              printable(endpoint.url)));
}

}  // namespace

Task<Result<ipc::Done>> Courier::publish(ipc::PublishEndpoints request) {
  std::map<std::string, ipc::RegisteredEndpoint> fresh;
  for (ipc::RegisteredEndpoint& endpoint : request.endpoints) {
    const wire::Url url = CO_TRY(wire::Url::parse(endpoint.url));
    CO_TRY(refuse_in_the_clear(endpoint, url));
    const std::string key = endpoint.url;
    fresh.emplace(key, std::move(endpoint));
  }
  endpoints_ = std::move(fresh);
  egress_.use_credentials(std::move(request.proxy_authorization), ipc::proxy_of(request.network));
  egress_.use(std::move(request.network));
  co_return ipc::Done{};
}

Task<Result<ipc::Fetched>> Courier::fetch(ipc::Fetch request) {
  const wire::Url url = CO_TRY(wire::Url::parse(request.at.url));
  CO_TRY(refuse_in_the_clear(request.at, url));
  const Deadline deadline = loop_.in(kPostMost);
  Request text;
  CO_TRY(text.fill_get(url));
  const auto stream = CO_TRY(co_await dial(request.at, deadline));
  CO_TRY(co_await stream->write(text.text(), deadline));
  const ipc::Posted answer = CO_TRY(co_await read_answer(stream.get(), "GET", deadline));
  co_return ipc::Fetched{answer.status, std::string(answer.body.open(Purpose::kTransport))};
}

Task<Result<std::unique_ptr<net::Stream>>> Courier::dial(const ipc::RegisteredEndpoint& endpoint,
                                                         Deadline deadline) {
  const wire::Url url = CO_TRY(wire::Url::parse(endpoint.url));
  egress::Target to{url.host.ip() ? url.host.ip()->text() : url.host.text(), url.port,
                    url.scheme == wire::Scheme::kHttps, endpoint.ca_pem, endpoint.allow_private};
  auto dialled = co_await egress_.dial(std::move(to), deadline);
  if (dialled) co_return std::move(dialled->stream);
  if (dialled.error() == Error::kDenied) co_return Failure(dialled.error());
  co_return failure(Error::kUnreachable, dialled.error().message());  // surely not sent
}

Task<Result<ipc::Posted>> Courier::post(ipc::Post request) {
  auto posted = co_await post_once(std::move(request));
  if (posted) ++answered_;
  if (!posted) ++failed_[row_of(posted.error().code()).label];
  co_return posted;
}

ipc::CounterList Courier::counters() const {
  ipc::CounterList list;
  list.counters = {{"posts.answered", answered_}, {"endpoints", endpoints_.size()}};
  for (const auto& [label, count] : failed_) {
    list.counters.push_back({"posts.failed." + std::string(label), count});
  }
  ipc::add_process_counters(list);
  return list;
}

Task<Result<ipc::Posted>> Courier::post_once(ipc::Post request) {
  const auto found = endpoints_.find(request.url);
  if (found == endpoints_.end()) {
    co_return failure(Error::kDenied, "the courier goes to registered endpoints only");
  }
  const ipc::RegisteredEndpoint endpoint = found->second;
  const Deadline deadline = loop_.in(kPostMost);
  Request text;
  CO_TRY(text.fill(CO_TRY(wire::Url::parse(endpoint.url)), request));
  const auto stream = CO_TRY(co_await dial(endpoint, deadline));
  CO_TRY(co_await stream->write(text.text(), deadline));
  co_return co_await read_answer(stream.get(), "POST", deadline);
}

}  // namespace gatehouse::courier
