// SPDX-License-Identifier: Apache-2.0
#include "exporter/delivery.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/log.h"
#include "exporter/http_post.h"
#include "exporter/names.h"
#include "wire/retry_after.h"

namespace gatehouse::exporter {
namespace {

using net::Task;

constexpr std::size_t kToldMost = 256;  // bytes of a collector's words in our log

// What a collector may take later (OTLP/HTTP, section Retryable Response Codes).
bool is_worth_another_try(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

bool is_loopback(const wire::Host& host) {
  return host.ip() ? wire::address_class(*host.ip()) == wire::AddressClass::kLoopback
                   : host.text() == "localhost";
}

}  // namespace

Delivery::Delivery(net::Loop& loop, net::Resolver& resolver)
    : loop_(loop),
      egress_(loop, resolver),
      arrived_(loop),
      finishing_(loop),
      idle_(loop),
      tasks_(loop) {
  tasks_.spawn(deliver());
}

void Delivery::use(ipc::UseTelemetry telemetry) {
  egress_.use_credentials(std::move(telemetry.proxy_authorization),
                          ipc::proxy_of(telemetry.network));
  egress_.use(std::move(telemetry.network));
  resource_.clear();
  for (ipc::ResourceAttribute& one : telemetry.resource) {
    resource_.emplace_back(std::move(one.key), std::move(one.value));
  }
  const auto add = [&](std::string_view key, std::string_view value) {
    const bool is_named = std::ranges::any_of(resource_, [&](auto& r) { return r.first == key; });
    if (!is_named) resource_.emplace_back(key, value);
  };
  add(attribute::kServiceName, "gatehouse");
  add(attribute::kServiceVersion, GATEHOUSE_VERSION);
  telemetry_ = std::move(telemetry);
  if (!telemetry_.url.empty()) return;
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Delivery::take(std::string span) {
  if (telemetry_.url.empty()) return;
  if (waiting_bytes_ + span.size() > kWaitingMost) {
    ++dropped_;
    return;
  }
  waiting_bytes_ += span.size();
  waiting_.push_back(std::move(span));
  arrived_.set();
}

std::vector<std::string> Delivery::next_batch() {
  std::vector<std::string> batch;
  std::size_t bytes = 0;
  while (!waiting_.empty() && batch.size() < kBatchMost && bytes < kBatchBytesMost) {
    bytes += waiting_.front().size();
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  waiting_bytes_ -= bytes;
  return batch;
}

Task<void> Delivery::deliver() {
  while (true) {
    while (waiting_.empty()) {
      arrived_.reset();
      (void)co_await arrived_.wait(Deadline::never());
    }
    if (waiting_.size() < kBatchMost && !is_finishing_) co_await pause(kGather);
    std::vector<std::string> batch = next_batch();
    under_way_ = batch.size();
    if (!batch.empty()) co_await deliver_batch(std::move(batch));
    under_way_ = 0;
    idle_.set();
  }
}

Task<void> Delivery::pause(Nanos most) {
  if (is_finishing_) {
    co_await loop_.sleep_for(std::min(most, kPauseAtEnd));
  } else {
    (void)co_await finishing_.wait(loop_.in(most));
  }
}

Task<void> Delivery::finish(Deadline until) {
  is_finishing_ = true;
  finishing_.set();
  while ((!waiting_.empty() || under_way_ > 0) && loop_.now() < until.at()) {
    idle_.reset();
    (void)co_await idle_.wait(until);
  }
  const std::size_t lost = waiting_.size() + under_way_;
  given_up_ += lost;
  if (lost > 0) log_warning("spans are lost: the house stops", {{"spans", lost}});
}

Task<void> Delivery::deliver_batch(std::vector<std::string> batch) {
  const Instant began = loop_.now();
  Nanos wait = kPauseFirst;
  while (!telemetry_.url.empty()) {
    const Result<Answer> answer = co_await post(export_request(resource_, batch));
    if (judge(answer, batch.size()) == After::kDone) co_return;
    if (loop_.now() - began >= kTriedMost) break;
    const Nanos asked = answer ? answer->retry_after : Nanos(0);
    co_await this->pause(std::max(jittered(wait), asked));
    wait = std::min(wait * 2, kPauseMost);
  }
  given_up_ += batch.size();
}

// Several houses that lost one collector do not all come back at once.
Nanos Delivery::jittered(Nanos pause) {
  constexpr int kParts = 256;
  return pause * (kParts + SpanId::fresh().bytes[0] / 4) / kParts;
}

Delivery::After Delivery::judge(const Result<Answer>& answer, std::size_t spans) {
  constexpr int kSuccess = 2;  // of a status' hundreds
  if (answer && answer->status / 100 == kSuccess) {
    const Taken taken = parse_export_response(answer->body);
    const auto rejected =
        std::min<std::uint64_t>(static_cast<std::uint64_t>(taken.rejected), spans);
    sent_ += spans - rejected;
    rejected_ += rejected;
    if (std::exchange(is_failing_, false)) log_info("the collector takes spans again");
    if (!taken.why.empty() || rejected > 0) {
      log_warning("the collector did not take all that it was sent",
                  {{"rejected", rejected}, {"why", printable(taken.why.substr(0, kToldMost))}});
    }
    return After::kDone;
  }
  ++failed_;
  const std::string why =
      answer ? fmt::format("it answered {}", answer->status) : answer.error().message();
  if (answer && !is_worth_another_try(answer->status)) {
    given_up_ += spans;
    tell("spans are given up: the collector takes them never", why);
    return After::kDone;
  }
  tell("the collector takes no spans now; they are sent again", why);
  return After::kAgain;
}

// Once, until it is well again: how often is in the metrics.
void Delivery::tell(std::string_view what, std::string why) {
  if (std::exchange(is_failing_, true)) return;
  log_warning(what, {{"why", std::move(why)}});
}

Task<Result<Delivery::Answer>> Delivery::post(std::string body) {
  const wire::Url url = CO_TRY(wire::Url::parse(telemetry_.url));
  // What is in force may be another while this waits.
  const Secret headers = telemetry_.headers.duplicate(Purpose::kTransport);
  const bool is_tls = url.scheme == wire::Scheme::kHttps;
  if (!is_tls && !headers.empty() && !is_loopback(url.host)) {
    co_return failure(Error::kInvalid, "the headers' secret goes in the clear to loopback only");
  }
  const Deadline deadline = loop_.in(kAnswerMost);
  egress::Target to{url.host.ip() ? url.host.ip()->text() : url.host.text(), url.port, is_tls,
                    telemetry_.ca_pem, telemetry_.allow_private};
  const egress::Dialled dialled = CO_TRY(co_await egress_.dial(std::move(to), deadline));
  const PostAnswer answer = CO_TRY(co_await exporter::post(
      dialled.stream.get(), url, headers.open(Purpose::kInject), std::move(body), deadline));
  co_return Answer{
      answer.status,
      wire::retry_after(answer.headers.find("retry-after").value_or(""), kTriedMost, loop_.wall())
          .value_or(Nanos(0)),
      answer.body};
}

void Delivery::add_counters(ipc::CounterList& list) const {
  for (const auto& [name, value] : {std::pair<const char*, std::uint64_t>{"spans.sent", sent_},
                                    {"spans.rejected", rejected_},
                                    {"spans.dropped", dropped_},
                                    {"spans.given_up", given_up_},
                                    {"spans.waiting", waiting_.size()},
                                    {"posts.failed", failed_}}) {
    list.counters.push_back({name, value});
  }
}

}  // namespace gatehouse::exporter
