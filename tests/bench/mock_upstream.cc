// SPDX-License-Identifier: Apache-2.0
// The upstream of the benches: answers POST /v1/chat/completions with 1 KB after a delay, or, when
// the first bytes of the body say "stream":true, with SSE events a gap apart, each carrying the
// CLOCK_MONOTONIC time at which it was sent. One thread, epoll; trusts its client. With a
// certificate it speaks TLS. Of the requests that carry a traceparent it keeps the span of each
// that it read whole, and a random sample, whole, with what it answered. At SIGTERM it writes both,
// what the audit log is held against: PORT.spans (a span a line), SPAN.request and SPAN.response.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

struct Sample {
  std::string span;  // of the traceparent
  std::string request;
  std::string response;
};

struct FreeTls {
  void operator()(SSL* tls) const { SSL_free(tls); }
};

struct Client {
  int fd = -1;
  std::unique_ptr<SSL, FreeTls> tls;  // null in plain text
  std::uint64_t serial = 0;
  std::string head;           // of the request being read, and the body's first bytes
  std::size_t body_left = 0;  // bytes of the body still to come
  bool in_body = false;
  int events_left = 0;
  std::array<char, 16> span{};  // of the traceparent; its first is 0 when there was none
  std::unique_ptr<Sample> sample;
};

struct Due {
  std::int64_t at_ns;
  int fd;
  std::uint64_t serial;
  bool operator<(const Due& other) const { return at_ns > other.at_ns; }
};

constexpr std::size_t kPrefixMost = 4096;
constexpr std::size_t kSamplesMost = 200;
constexpr std::size_t kSpansExpected = 2'000'000;  // more cost a copy in the middle of the load

volatile std::sig_atomic_t g_told_to_end = 0;

class Server {
 public:
  // `tls` is null for plain text.
  Server(int port, std::int64_t delay_us, int events, std::int64_t gap_us, std::string samples,
         SSL_CTX* tls)
      : samples_directory_(std::move(samples)),
        tls_(tls),
        delay_ns_(delay_us * 1000),
        events_(events),
        gap_ns_(gap_us * 1000) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0
        || listen(listener_, 1024) != 0) {
      perror("mock_upstream: bind");
      std::exit(1);
    }
    socklen_t length = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    printf("%d\n", port_);
    fflush(stdout);
    if (!samples_directory_.empty()) spans_.reserve(kSpansExpected * kSpanLine);
    epoll_ = epoll_create1(0);
    watch(listener_);
    answer_body_ =
        R"({"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench",)"
        R"("choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",)"
        R"("content":")"
        + std::string(750, 'x')
        + R"("}}],"usage":{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}})";
    answer_ = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
              + std::to_string(answer_body_.size()) + "\r\n\r\n" + answer_body_;
  }

  void run() {
    std::vector<epoll_event> ready(512);
    while (g_told_to_end == 0) {
      const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), wait_ms());
      for (int i = 0; i < count; ++i) {
        const int fd = ready[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_all();
        } else {
          read_some(fd);
        }
      }
      while (!due_.empty() && due_.top().at_ns <= now_ns()) {
        const Due due = due_.top();
        due_.pop();
        const auto found = clients_.find(due.fd);
        if (found != clients_.end() && found->second->serial == due.serial) fire(*found->second);
      }
    }
    if (samples_directory_.empty()) return;
    std::ofstream(samples_directory_ + "/" + std::to_string(port_) + ".spans") << spans_;
    for (const auto& sample : samples_) {
      const std::string path = samples_directory_ + "/" + sample->span;
      std::ofstream(path + ".request", std::ios::binary) << sample->request;
      std::ofstream(path + ".response", std::ios::binary) << sample->response;
    }
  }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  // Spins through the last millisecond: epoll's clock is too coarse for 5 ms.
  [[nodiscard]] int wait_ms() const {
    if (due_.empty()) return -1;
    const std::int64_t left_ns = due_.top().at_ns - now_ns();
    return static_cast<int>(std::max<std::int64_t>(0, left_ns / 1'000'000));
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto client = std::make_unique<Client>();
      client->fd = fd;
      client->serial = ++serial_;
      if (tls_ != nullptr) {
        client->tls.reset(SSL_new(tls_));
        SSL_set_fd(client->tls.get(), fd);
        SSL_set_accept_state(client->tls.get());
      }
      clients_[fd] = std::move(client);
      watch(fd);
    }
  }

  void drop(int fd) {
    clients_.erase(fd);
    close(fd);
  }

  // As recv(): 0 at the end, -1 with EAGAIN when nothing is there. A record is read whole, so that
  // epoll misses nothing.
  static ssize_t received(Client& client, char* to, std::size_t most) {
    if (!client.tls) return recv(client.fd, to, most, 0);
    ERR_clear_error();
    const int count = SSL_read(client.tls.get(), to, static_cast<int>(most));
    if (count > 0) return count;
    const int why = SSL_get_error(client.tls.get(), count);
    if (why != SSL_ERROR_WANT_READ) return 0;
    errno = EAGAIN;
    return -1;
  }

  void read_some(int fd) {
    static char buffer[256 * 1024];
    const auto found = clients_.find(fd);
    if (found == clients_.end()) return;
    Client& client = *found->second;
    const ssize_t count = received(client, buffer, sizeof buffer);
    if (count <= 0) {
      if (count == 0 || errno != EAGAIN) drop(fd);
      return;
    }
    std::string_view bytes(buffer, static_cast<std::size_t>(count));
    if (!client.in_body) {
      client.head.append(bytes);
      const std::size_t end = client.head.find("\r\n\r\n");
      if (end == std::string::npos) return;
      client.in_body = true;
      const std::size_t length = content_length(std::string_view(client.head).substr(0, end));
      const std::size_t have = client.head.size() - end - 4;
      client.body_left = length - std::min(length, have);
      choose(client, std::string_view(client.head).substr(0, end));
      client.head.erase(0, end + 4);
      if (client.sample) client.sample->request = client.head;
    } else {
      if (client.sample) client.sample->request.append(bytes);
      const std::size_t room = kPrefixMost - std::min(kPrefixMost, client.head.size());
      client.head.append(bytes.substr(0, room));
      client.body_left -= std::min(client.body_left, bytes.size());
    }
    if (client.body_left == 0) respond(client);
  }

  // Which span this request has, and whether it is one of the sample, each with the same chance
  // (reservoir sampling).
  void choose(Client& client, std::string_view head) {
    client.sample.reset();
    client.span = {};
    const std::string_view trace = samples_directory_.empty() ? "" : field(head, "traceparent:");
    constexpr std::size_t kSpanAt = 36;  // 00-<trace id>-<span id>-<flags>
    if (trace.size() < kSpanAt + client.span.size()) return;
    trace.copy(client.span.data(), client.span.size(), kSpanAt);
    ++candidates_;
    if (samples_.size() >= kSamplesMost
        && std::uniform_int_distribution<std::uint64_t>(1, candidates_)(random_) > kSamplesMost) {
      return;
    }
    client.sample = std::make_unique<Sample>();
    client.sample->span = trace.substr(kSpanAt, client.span.size());
  }
  void keep(Client& client) {
    if (!client.sample) return;
    if (samples_.size() < kSamplesMost) {
      samples_.push_back(std::move(client.sample));
    } else {
      samples_[std::uniform_int_distribution<std::size_t>(0, kSamplesMost - 1)(random_)] =
          std::move(client.sample);
    }
  }

  static std::string_view field(std::string_view head, const std::string& name) {
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    const auto at = std::search(head.begin(), head.end(), name.begin(), name.end(), same);
    if (at == head.end()) return {};
    std::string_view value = head.substr(static_cast<std::size_t>(at - head.begin()) + name.size());
    value = value.substr(0, value.find('\r'));
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return value;
  }
  static std::size_t content_length(std::string_view head) {
    return std::strtoul(std::string(field(head, "content-length:")).c_str(), nullptr, 10);
  }

  void respond(Client& client) {
    if (client.span.front() != 0) spans_.append(client.span.data(), client.span.size()) += '\n';
    const bool streams = client.head.find("\"stream\":true") != std::string::npos;
    client.head.clear();
    client.in_body = false;
    client.events_left = streams ? events_ : 0;
    if (streams) {
      write_all(client,
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
      fire(client);
    } else if (delay_ns_ > 0) {
      due_.push({now_ns() + delay_ns_, client.fd, client.serial});
    } else {
      fire(client);
    }
  }

  void fire(Client& client) {
    if (client.events_left == 0) {
      write_all(client, answer_);
      if (client.sample) client.sample->response = answer_body_;
      keep(client);
      return;
    }
    char event[512];
    int length = snprintf(
        event, sizeof event,
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,"
        "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"t=%lld \"},"
        "\"finish_reason\":null}]}\n\n",
        static_cast<long long>(now_ns()));
    std::string text(event, static_cast<std::size_t>(length));
    const bool last = --client.events_left == 0;
    if (last) text += "data: [DONE]\n\n";
    char size[16];
    snprintf(size, sizeof size, "%zx\r\n", text.size());
    write_all(client, size + text + "\r\n" + (last ? "0\r\n\r\n" : ""));
    if (client.sample) client.sample->response += text;
    if (last) keep(client);
    if (!last) due_.push({now_ns() + gap_ns_, client.fd, client.serial});
  }

  // Answers are far below a socket's send buffer; what does not fit is the client's own fault.
  static void write_all(Client& client, std::string_view bytes) {
    if (client.tls) {
      SSL_write(client.tls.get(), bytes.data(), static_cast<int>(bytes.size()));
    } else {
      (void)!send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  static constexpr std::size_t kSpanLine = 17;

  std::string samples_directory_;  // "" for none
  SSL_CTX* tls_;
  std::string spans_;  // what PORT.spans will hold
  std::vector<std::unique_ptr<Sample>> samples_;
  std::uint64_t candidates_ = 0;
  std::mt19937_64 random_{std::random_device()()};
  int listener_ = -1;
  int port_ = 0;
  int epoll_ = -1;
  std::int64_t delay_ns_;
  int events_;
  std::int64_t gap_ns_;
  std::uint64_t serial_ = 0;
  std::string answer_;
  std::string answer_body_;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
  std::priority_queue<Due> due_;
};

// What is written after the client has gone is an error of that write, and no signal.
SSL_CTX* tls_of(const char* certificate, const char* key) {
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX* tls = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_file(tls, certificate, SSL_FILETYPE_PEM) != 1
      || SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    std::exit(1);
  }
  return tls;
}

}  // namespace

// Arguments: port (0: any; printed), delay in us, events a stream, gap between events in us, the
// directory for what it writes at its end ("" for none), and for TLS a certificate and its key.
int main(int argc, char** argv) {
  struct sigaction end{};
  end.sa_handler = [](int) { g_told_to_end = 1; };
  sigaction(SIGTERM, &end, nullptr);
  const auto argument = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  Server(argument(1, 0), argument(2, 0), argument(3, 200), argument(4, 20'000),
         argc > 5 ? argv[5] : "", argc > 7 ? tls_of(argv[6], argv[7]) : nullptr)
      .run();
}
