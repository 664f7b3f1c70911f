// SPDX-License-Identifier: Apache-2.0
// Opens N streams at once and measures each event by the time it carries (mock_upstream.cc, same
// clock): how long it was under way. Prints one line of JSON; exit status 1 if events were missing.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

namespace {

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

constexpr std::int64_t kBetweenOpeningsNs = 1'000'000;

struct Stream {
  int fd = -1;
  std::int64_t sent_ns = 0;
  bool answered = false;  // the first event has come
  int events = 0;
  std::string rest;  // bytes after the last whole event
};

double percentile_us(std::vector<std::int64_t>& values, double share) {
  if (values.empty()) return -1;
  std::sort(values.begin(), values.end());
  const auto index = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  return static_cast<double>(values[index]) / 1000.0;
}

int connected(const char* host, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host, &address.sin_addr);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    perror("sse_client: connect");
    std::exit(1);
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Stream started(const char* host, int port, const std::string& target, const std::string& name,
               std::size_t index) {
  const std::string body = R"({"model":"bench","stream":true,"messages":[{"role":"user",)"
                           R"("content":"stream )"
                           + std::to_string(index) + ' ' + std::to_string(now_ns()) + R"("}]})";
  const std::string request =
      "POST " + target + " HTTP/1.1\r\nHost: " + name + "\r\nContent-Type: application/json\r\n"
      + std::getenv("BENCH_HEADERS") + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n"
      + body;
  Stream stream;
  stream.fd = connected(host, port);
  stream.sent_ns = now_ns();
  (void)!send(stream.fd, request.data(), request.size(), MSG_NOSIGNAL);
  return stream;
}

// Takes the times out of the whole events at the front of `stream.rest`.
void take_events(Stream& stream, std::int64_t now, std::vector<std::int64_t>& under_way,
                 std::vector<std::int64_t>& first) {
  std::size_t from = 0;
  for (std::size_t at = 0; (at = stream.rest.find("t=", from)) != std::string::npos;) {
    const std::size_t end = stream.rest.find(' ', at);
    if (end == std::string::npos) break;
    under_way.push_back(now - std::atoll(stream.rest.c_str() + at + 2));
    if (!stream.answered) first.push_back(now - stream.sent_ns);
    stream.answered = true;
    ++stream.events;
    from = end;
  }
  stream.rest.erase(0, from);
}

}  // namespace

// Arguments: host, port, request target, Host header, streams, events expected of each.
// BENCH_HEADERS: further fields, each with its CRLF.
int main(int argc, char** argv) {
  if (argc < 7) return 2;
  const auto count = static_cast<std::size_t>(std::atoi(argv[5]));
  const int expected = std::atoi(argv[6]);
  std::vector<Stream> streams;
  std::vector<pollfd> polled;
  std::vector<std::int64_t> under_way;
  std::vector<std::int64_t> first;
  streams.reserve(count);
  std::size_t open = 0;
  std::int64_t next_open_ns = now_ns();
  static char buffer[64 * 1024];
  while (open > 0 || streams.size() < count) {
    if (streams.size() < count && now_ns() >= next_open_ns) {
      // Spread over the gap between events, as real streams are.
      next_open_ns = now_ns() + kBetweenOpeningsNs;
      streams.push_back(started(argv[1], std::atoi(argv[2]), argv[3], argv[4], streams.size()));
      polled.push_back({streams.back().fd, POLLIN, 0});
      ++open;
    }
    const int timeout_ms = streams.size() < count ? 1 : 5000;
    if (poll(polled.data(), polled.size(), timeout_ms) == 0 && timeout_ms > 1) break;
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      const ssize_t got = recv(polled[i].fd, buffer, sizeof buffer, 0);
      const std::int64_t now = now_ns();
      if (got > 0) {
        streams[i].rest.append(buffer, static_cast<std::size_t>(got));
        take_events(streams[i], now, under_way, first);
      }
      if (got <= 0 || streams[i].events >= expected) {
        polled[i].fd = -1;
        --open;
      }
    }
  }
  printf("{\"streams\":%zu,\"events\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"ttft_p50_us\":%.1f}\n",
         count, under_way.size(), percentile_us(under_way, 0.5), percentile_us(under_way, 0.99),
         percentile_us(first, 0.5));
  return under_way.size() == count * static_cast<std::size_t>(expected) ? 0 : 1;
}
