// SPDX-License-Identifier: Apache-2.0
#include "cli/redirect.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>

#include "base/encoding.h"

namespace gatehouse::cli {
namespace {

constexpr std::string_view kPath = "/callback";
constexpr std::size_t kHeadMost = 16 * 1024;
constexpr auto kWaitMost = std::chrono::minutes(10);
constexpr timeval kBrowserMost = {5, 0};

std::string page(int status, std::string_view reason, std::string_view title,
                 std::string_view text) {
  const std::string body = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title>"
      "<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:18vh auto;"
      "padding:0 1.5rem;color:#222}}h1{{font-size:1.5rem}}</style><h1>{0}</h1><p>{1}</p></html>",
      title, text);
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n"
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
      "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{}",
      status, reason, body.size(), body);
}

// The target of a GET; nothing when it is no such request.
std::optional<std::string> read_target(int socket) {
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &kBrowserMost, sizeof kBrowserMost);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kBrowserMost, sizeof kBrowserMost);
  std::string head;
  std::array<char, 2048> bytes{};
  while (!head.contains("\r\n\r\n")) {
    const ssize_t n = recv(socket, bytes.data(), bytes.size(), 0);
    if (n <= 0 || head.size() > kHeadMost) return std::nullopt;
    head.append(bytes.data(), static_cast<std::size_t>(n));
  }
  if (!head.starts_with("GET ")) return std::nullopt;
  const std::size_t end = head.find(' ', 4);
  return end == std::string::npos ? std::nullopt : std::optional(head.substr(4, end - 4));
}

}  // namespace

Result<Redirect> parse_redirect(std::string_view target, std::string_view state) {
  const std::size_t question = target.find('?');
  if (target.substr(0, question) != kPath) return failure(Error::kNotFound, "no such page");
  std::map<std::string, std::string> values;
  std::string_view query = question == std::string_view::npos ? "" : target.substr(question + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    std::string text(pair.substr(equals + 1));
    for (char& c : text) c = c == '+' ? ' ' : c;
    values[std::string(pair.substr(0, equals))] = TRY(percent_decoded(text));
  }
  if (state.empty() || values["state"] != state) {
    return failure(Error::kInvalid, "the redirect is not the answer to this request");
  }
  if (!values["error"].empty()) {
    return failure(Error::kDenied, fmt::format("the authorization server refused: {} {}",
                                               values["error"], values["error_description"]));
  }
  if (values["code"].empty()) return failure(Error::kInvalid, "the redirect has no code");
  Redirect redirect{Secret(values["code"]), values["iss"]};
  wipe(values["code"]);
  return redirect;
}

Result<RedirectListener> RedirectListener::open() {
  net::Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener.is_open() || bind(listener.get(), generic, size) != 0
      || listen(listener.get(), 8) != 0 || getsockname(listener.get(), generic, &size) != 0) {
    return failure_from_errno(errno, "listening on 127.0.0.1 for the redirect");
  }
  return RedirectListener(std::move(listener), ntohs(address.sin_port));
}

std::string RedirectListener::uri() const {
  return fmt::format("http://127.0.0.1:{}{}", port_, kPath);
}

Result<Redirect> RedirectListener::wait(std::string_view state) {
  const auto end = std::chrono::steady_clock::now() + kWaitMost;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd readable{socket_.get(), POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      return failure(Error::kTimeout, "nobody came back from the link in ten minutes; try again");
    }
    const net::Descriptor browser(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!browser.is_open()) continue;
    const auto target = read_target(browser.get());
    if (!target) continue;
    Result<Redirect> redirect = parse_redirect(*target, state);
    std::string answer;
    if (redirect) {
      answer = page(200, "OK", "Connected", "You can close this page and go back to the terminal.");
    } else if (redirect.error() == Error::kDenied) {
      answer = page(200, "OK", "Not connected", "The terminal says why. You can close this page.");
    } else {
      answer = page(404, "Not Found", "Nothing here", "This is not the answer that is awaited.");
    }
    static_cast<void>(send(browser.get(), answer.data(), answer.size(), MSG_NOSIGNAL));
    if (redirect || redirect.error() == Error::kDenied) return redirect;
  }
}

}  // namespace gatehouse::cli
