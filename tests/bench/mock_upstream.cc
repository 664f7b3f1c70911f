// SPDX-License-Identifier: Apache-2.0
// The upstream of the benches: answers POST /v1/chat/completions with 1 KB after --delay-us, or,
// when the first bytes of the body say "stream":true, with --events SSE events --gap-us apart, each
// carrying the CLOCK_MONOTONIC time at which it was sent. One thread, epoll; trusts its client.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <queue>
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

struct Client {
  int fd = -1;
  std::uint64_t serial = 0;
  std::string head;           // of the request being read, and the body's first bytes
  std::size_t body_left = 0;  // bytes of the body still to come
  bool in_body = false;
  int events_left = 0;
};

struct Due {
  std::int64_t at_ns;
  int fd;
  std::uint64_t serial;
  bool operator<(const Due& other) const { return at_ns > other.at_ns; }
};

constexpr std::size_t kPrefixMost = 4096;

class Server {
 public:
  Server(int port, std::int64_t delay_us, int events, std::int64_t gap_us)
      : delay_ns_(delay_us * 1000), events_(events), gap_ns_(gap_us * 1000) {
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
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_ = epoll_create1(0);
    watch(listener_);
    const std::string body =
        R"({"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench",)"
        R"("choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",)"
        R"("content":")"
        + std::string(750, 'x')
        + R"("}}],"usage":{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}})";
    answer_ = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
              + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void run() {
    std::vector<epoll_event> ready(512);
    for (;;) {
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
      clients_[fd] = std::move(client);
      watch(fd);
    }
  }

  void drop(int fd) {
    close(fd);
    clients_.erase(fd);
  }

  void read_some(int fd) {
    static char buffer[256 * 1024];
    const auto found = clients_.find(fd);
    if (found == clients_.end()) return;
    Client& client = *found->second;
    const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
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
      client.head.erase(0, end + 4);
    } else {
      const std::size_t room = kPrefixMost - std::min(kPrefixMost, client.head.size());
      client.head.append(bytes.substr(0, room));
      client.body_left -= std::min(client.body_left, bytes.size());
    }
    if (client.body_left == 0) respond(client);
  }

  static std::size_t content_length(std::string_view head) {
    const std::string name = "content-length:";
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    const auto at = std::search(head.begin(), head.end(), name.begin(), name.end(), same);
    if (at == head.end()) return 0;
    return std::strtoul(&*at + name.size(), nullptr, 10);
  }

  void respond(Client& client) {
    const bool streams = client.head.find("\"stream\":true") != std::string::npos;
    client.head.clear();
    client.in_body = false;
    client.events_left = streams ? events_ : 0;
    if (streams) {
      write_all(client.fd,
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
      write_all(client.fd, answer_);
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
    write_all(client.fd, size + text + "\r\n" + (last ? "0\r\n\r\n" : ""));
    if (!last) due_.push({now_ns() + gap_ns_, client.fd, client.serial});
  }

  // Answers are far below a socket's send buffer; what does not fit is the client's own fault.
  static void write_all(int fd, std::string_view bytes) {
    (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  int listener_ = -1;
  int epoll_ = -1;
  std::int64_t delay_ns_;
  int events_;
  std::int64_t gap_ns_;
  std::uint64_t serial_ = 0;
  std::string answer_;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
  std::priority_queue<Due> due_;
};

}  // namespace

// Arguments: port (0: any; printed), delay in us, events a stream, gap between events in us.
int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  Server(argument(1, 0), argument(2, 0), argument(3, 200), argument(4, 20'000)).run();
}
