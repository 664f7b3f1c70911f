// SPDX-License-Identifier: Apache-2.0
// Delivery: spans on their way to a collector, by OTLP over HTTP with JSON
// (https://opentelemetry.io/docs/specs/otlp/, section OTLP/HTTP). A bounded queue, sent in batches;
// what a collector cannot take now is sent again, later each time; what does not fit meanwhile is
// dropped and counted. Of its Loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "egress/egress.h"
#include "exporter/span.h"
#include "ipc/control_exporter.h"
#include "ipc/control_gateway.h"
#include "net/nursery.h"

namespace gatehouse::exporter {

class Delivery {
 public:
  static constexpr std::size_t kWaitingMost = std::size_t{8} * 1024 * 1024;  // bytes of spans
  static constexpr std::size_t kBatchMost = 512;                             // spans
  static constexpr std::size_t kBatchBytesMost = 1024 * 1024;
  static constexpr Nanos kGather = std::chrono::seconds(1);  // for company, before a batch leaves
  static constexpr Nanos kAnswerMost = std::chrono::seconds(10);
  static constexpr Nanos kPauseFirst = std::chrono::seconds(1);
  static constexpr Nanos kPauseAtEnd = std::chrono::milliseconds(200);
  static constexpr Nanos kPauseMost = std::chrono::seconds(30);
  static constexpr Nanos kTriedMost = std::chrono::minutes(5);  // one batch; then it is given up

  Delivery(net::Loop& loop, net::Resolver& resolver);

  // Where to, from now on; what waits goes there. Without a URL nothing is taken, and what waits is
  // forgotten.
  void use(ipc::UseTelemetry telemetry);
  [[nodiscard]] bool is_wanted() const { return !telemetry_.url.empty(); }
  // A span's JSON.
  void take(std::string span);
  // Sends what waits without waiting for more, and a batch that was not taken again at once; what
  // is not taken until then is given up. For the end of this process: it does not go on afterwards.
  [[nodiscard]] net::Task<void> finish(Deadline until);
  void add_counters(ipc::CounterList& list) const;

 private:
  struct Answer {
    int status = 0;
    Nanos retry_after{};  // what the collector asked for; 0 for nothing
    std::string body;
  };
  enum class After : std::uint8_t { kDone, kAgain };
  net::Task<void> deliver();
  net::Task<void> deliver_batch(std::vector<std::string> batch);
  After judge(const Result<Answer>& answer, std::size_t spans);
  net::Task<Result<Answer>> post(std::string body);
  std::vector<std::string> next_batch();
  void tell(std::string_view what, std::string why);
  [[nodiscard]] Nanos jittered(Nanos pause);
  // So long, but for the end of this process.
  net::Task<void> pause(Nanos most);

  net::Loop& loop_;
  egress::Dialer egress_;
  ipc::UseTelemetry telemetry_;
  Attributes resource_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t rejected_ = 0;  // by the collector, which keeps the others
  std::uint64_t dropped_ = 0;   // there was no room
  std::uint64_t given_up_ = 0;  // after all tries, or because no try would help
  std::uint64_t failed_ = 0;    // requests
  bool is_failing_ = false;     // and that is logged
  std::size_t under_way_ = 0;   // spans of the batch that is being sent
  bool is_finishing_ = false;
  net::Event arrived_;
  net::Event finishing_;
  net::Event idle_;  // a batch has ended
  net::Nursery tasks_;
};

}  // namespace gatehouse::exporter
