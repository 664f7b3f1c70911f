// SPDX-License-Identifier: Apache-2.0
#include "gateway/names.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "gateway/record.h"
#include "wire/dns.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::uint32_t kTtlSeconds = 60;
constexpr int kBatchMost = 32;  // queries between two looks at the Loop
constexpr double kEntriesPerSecond =
    20;  // refused names that get an Entry of their own; all are counted
constexpr double kEntriesBurst = 50;

// A token bucket: names carry data out of other systems, so a flood of them is a sign, and must not
// fill the log.
class Bucket {
 public:
  explicit Bucket(Instant now) : at_(now) {}
  bool take(Instant now) {
    const double seconds = std::chrono::duration<double>(now - at_).count();
    level_ = std::min(kEntriesBurst, level_ + seconds * kEntriesPerSecond);
    at_ = now;
    if (level_ < 1) return false;
    level_ -= 1;
    return true;
  }

 private:
  Instant at_;
  double level_ = kEntriesBurst;
};

std::string answer_to(Gate& gate, Door& door, std::string_view message, Bucket& bucket) {
  const Result<wire::DnsQuery> query = wire::DnsQuery::parse(message);
  if (!query) return wire::dns_format_error(message);
  const Result<wire::Host> host = wire::Host::parse(query->name);
  const bool known = host && !host->is_ip_literal() && gate.rulebook
                     && gate.rulebook->may_reach(door.run, *host) && !gate.is_killed(door.run.run);
  if (!known) {
    ++gate.counters.names_refused;
    if (bucket.take(gate.loop.now())) {
      record_refusal(gate, door, "DNS", query->name,
                     {Ruling::Effect::kDeny, "default-deny",
                      "no rule lets this agent reach a host of that name; nothing was looked up"});
    }
    return wire::dns_failure(*query, wire::DnsAnswer::kNameError);
  }
  const SyntheticNames::Pair pair = door.names.addresses_of(host->text());
  door.names.answered(host->text());
  if (query->type == wire::DnsType::kA) return wire::dns_address(*query, pair.v4, kTtlSeconds);
  if (query->type == wire::DnsType::kAaaa) return wire::dns_address(*query, pair.v6, kTtlSeconds);
  return wire::dns_no_data(*query);
}

}  // namespace

Task<void> answer_names(Gate& gate, Door& door) {
  Bucket bucket(gate.loop.now());
  std::array<char, wire::kMaxDnsMessage> message{};
  while (true) {
    const Result<void> readable =
        co_await gate.loop.wait_readable(door.dns.get(), Deadline::never());
    if (!readable) co_return;
    for (int i = 0; i < kBatchMost; ++i) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const ssize_t got =
          ::recvfrom(door.dns.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_TRUNC,
                     reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) break;
      if (got > static_cast<ssize_t>(message.size())) continue;  // longer than a query can be
      const std::string answer =
          answer_to(gate, door, {message.data(), static_cast<std::size_t>(got)}, bucket);
      if (answer.empty()) continue;
      // An answer that the socket does not take is lost, as UDP's may be; the client asks again.
      (void)::sendto(door.dns.get(), answer.data(), answer.size(), MSG_DONTWAIT,
                     reinterpret_cast<sockaddr*>(&from), size);
    }
  }
}

}  // namespace gatehouse::gateway
