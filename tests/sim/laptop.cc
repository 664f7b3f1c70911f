// SPDX-License-Identifier: Apache-2.0
#include "sim/laptop.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>

#include "base/check.h"
#include "base/encoding.h"
#include "net/test_identity.h"
#include "wire/http1.h"
#include "wire/json.h"

namespace gatehouse::sim {
namespace {

using net::Task;

constexpr std::string_view kRuns = "/v1/tenants/default/runs";
constexpr std::string_view kName = "127.0.0.1";

net::TlsIdentity made_identity() {
  constexpr long kTenYears_s = 10L * 365 * 24 * 3600;
  return net::identity_of({.name = "IP:" + std::string(kName),
                           .common_name = "",
                           .until_s = kTenYears_s,
                           .is_ed25519 = true});
}

const net::TlsIdentity& own_identity() {
  static const net::TlsIdentity kOwn = made_identity();
  return kOwn;
}

const net::TlsIdentity& thief_identity() {
  static const net::TlsIdentity kThief = made_identity();
  return kThief;
}

std::string own_thumbprint() {
  const std::string& pem = own_identity().certificate_pem;
  BIO* text = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
  BIO_free(text);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  unsigned int size = 0;
  CHECK(
      X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &size)
      == 1);
  X509_free(certificate);
  return to_base64url(digest);
}

Error error_of(int status, const std::string& body) {
  const auto problem = wire::scan_object(body);
  const std::string type = problem ? problem->string("type").value_or("") : "";
  for (const Error::Code code : {Error::kDenied, Error::kNotFound, Error::kKilled}) {
    if (type == fmt::format("urn:gatehouse:error:{}", row_of(code).label)) {
      return Error(code, body);
    }
  }
  return Error(Error::kUnavailable, fmt::format("{} {}", status, body));
}

}  // namespace

const net::TlsIdentity& gateways_identity() {
  static const net::TlsIdentity kGateways = made_identity();
  return kGateways;
}

Laptop::Laptop(net::Loop& loop, std::string admin_path, std::string attach_path)
    : loop_(loop), admin_path_(std::move(admin_path)), attach_path_(std::move(attach_path)) {}

Task<Result<Laptop::Reply>> Laptop::ask(std::string method, std::string path, std::string body) {
  auto stream = CO_TRY(co_await loop_.connect(net::Endpoint::unix_path(admin_path_), loop_.in(5s)));
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nhost: gatehouse\r\ncontent-type: application/json\r\n"
      "content-length: {}\r\n\r\n{}",
      method, path, body.size(), body);
  Reply reply = CO_TRY(co_await exchange(stream.get(), request, method));
  if (reply.status >= 300) co_return Failure(error_of(reply.status, reply.body));
  co_return reply;
}

Task<Result<Laptop::Reply>> Laptop::exchange(net::Stream* stream, std::string request,
                                             std::string method) {
  const Deadline deadline = loop_.in(40s);
  CO_TRY(co_await stream->write(request, deadline));
  std::string waiting;
  std::array<char, 4096> buffer;
  const auto more = [](this auto, net::Stream* from, std::array<char, 4096>* into, std::string* out,
                       Deadline until) -> Task<Result<void>> {
    const std::size_t got = CO_TRY(co_await from->read(*into, until));
    if (got == 0) co_return failure(Error::kClosed, "control left");
    out->append(into->data(), got);
    co_return Result<void>();
  };
  wire::ResponseParser parser;
  while (!parser.done()) {
    if (waiting.empty()) CO_TRY(co_await more(stream, &buffer, &waiting, deadline));
    waiting.erase(0, CO_TRY(parser.feed(waiting)).consumed);
  }
  const wire::ResponseHead head = parser.take();
  wire::BodyReader reader(CO_TRY(wire::response_framing(head, method)));
  Reply reply{head.status, ""};
  while (!reader.done()) {
    if (waiting.empty()) CO_TRY(co_await more(stream, &buffer, &waiting, deadline));
    const auto piece = CO_TRY(reader.feed(waiting));
    reply.body += piece.payload;
    waiting.erase(0, piece.consumed);
  }
  co_return reply;
}

Result<void> Laptop::take(const std::string& body) {
  const wire::JsonObject given = TRY(wire::scan_object(body));
  token_ = given.string("access_token").value_or("");
  life_ = std::chrono::seconds(given.find("expires_in")->integer().value_or(0));
  const std::size_t begin = token_.find('.') + 1;
  const std::string claims =
      TRY(from_base64url(std::string_view(token_).substr(begin, token_.rfind('.') - begin)));
  expires_unix_s_ = TRY(wire::scan_object(claims)).find("exp")->integer().value_or(0);
  const auto gateway = TRY(wire::scan_object(given.find("gateway")->raw));
  gateway_certificate_ = gateway.string("certificate").value_or("");
  return {};
}

Task<Result<void>> Laptop::begin(std::string user) {
  const Reply begun =
      CO_TRY(co_await ask("POST", std::string(kRuns),
                          fmt::format(R"({{"agent":"bot","user":"{}","cnf":{{"x5t#S256":"{}"}}}})",
                                      user, own_thumbprint())));
  const wire::JsonObject given = CO_TRY(wire::scan_object(begun.body));
  run_ = CO_TRY(RunId::parse(given.string("run").value_or("")));
  trace_ = CO_TRY(TraceId::parse(given.string("trace_id").value_or("")));
  for (const wire::JsonValue& item : CO_TRY(wire::scan_array(given.find("environment")->raw))) {
    environment_.push_back(item.string().value_or(""));
  }
  co_return take(begun.body);
}

Task<Result<void>> Laptop::renew() {
  const Reply reply =
      CO_TRY(co_await ask("POST", fmt::format("{}/{}/token", kRuns, run_->text()), ""));
  co_return take(reply.body);
}

Task<Result<void>> Laptop::end(int exit_status) {
  CO_TRY(co_await ask("POST", fmt::format("{}/{}/end", kRuns, run_->text()),
                      fmt::format(R"({{"exit_status":{}}})", exit_status)));
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> Laptop::live() {
  const Reply reply = CO_TRY(co_await ask("GET", fmt::format("{}?limit=500", kRuns), ""));
  const wire::JsonObject page = CO_TRY(wire::scan_object(reply.body));
  std::vector<std::string> runs;
  for (const wire::JsonValue& item : CO_TRY(wire::scan_array(page.find("items")->raw))) {
    const wire::JsonObject run = CO_TRY(wire::scan_object(item.raw));
    if (run.find("live")->raw == "true" && run.find("attached")->raw == "true") {
      runs.push_back(run.string("run").value_or(""));
    }
  }
  co_return runs;
}

Task<Result<std::unique_ptr<net::Stream>>> Laptop::connect(bool as_thief) {
  const auto tls =
      CO_TRY(net::TlsClient::make({.extra_ca_pem = gateway_certificate_,
                                   .system_roots = false,
                                   .anchors_are_pins = true,
                                   .identity = as_thief ? &thief_identity() : &own_identity()}));
  auto socket =
      CO_TRY(co_await loop_.connect(net::Endpoint::unix_path(attach_path_), loop_.in(5s)));
  co_return co_await tls->connect(loop_, std::move(socket), std::string(kName), loop_.in(10s));
}

}  // namespace gatehouse::sim
