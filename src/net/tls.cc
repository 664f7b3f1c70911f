// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <span>
#include <utility>

#include "base/check.h"

namespace gatehouse::net {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

std::string openssl_reason() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

BioPtr bio_of(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Result<void> use_identity(SSL_CTX* context, const TlsIdentity& identity) {
  const BioPtr certificates = bio_of(identity.certificate_pem);
  const CertificatePtr leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return failure(Error::kInvalid, "a TLS certificate does not parse: " + openssl_reason());
  }
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) != 1) {
      X509_free(next);
      return failure(Error::kInvalid, "a TLS certificate chain is not usable: " + openssl_reason());
    }
  }
  ERR_clear_error();  // the end of the PEM text
  const BioPtr key_text = bio_of(identity.private_key_pem.open(Purpose::kDerive));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  // A key of another algorithm than the certificate's is taken until it is asked for.
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1
      || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return failure(Error::kInvalid, "a TLS key does not parse or fit its certificate");
  }
  return {};
}

Result<void> trust(SSL_CTX* context, std::string_view ca_pem) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const BioPtr text = bio_of(ca_pem);
  int count = 0;
  while (X509* next = PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)) {
    const CertificatePtr certificate(next);
    if (X509_STORE_add_cert(store, certificate.get()) != 1) {
      return failure(Error::kInvalid, "a trust anchor is not usable: " + openssl_reason());
    }
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return failure(Error::kInvalid, "no certificate in the given trust anchors");
  return {};
}

Result<ContextPtr> make_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  CHECK(context);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT
                                         | SSL_OP_NO_COMPRESSION | SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE
                                      | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                      | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

std::string text_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "a time that cannot be read";
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min);
}

// Keeps of a certificate that is refused for its time which time that is: when the handshake has
// failed, the certificate is gone.
int keep_validity(int accepted, X509_STORE_CTX* store) {
  const int why = X509_STORE_CTX_get_error(store);
  if (accepted == 1 || (why != X509_V_ERR_CERT_NOT_YET_VALID && why != X509_V_ERR_CERT_HAS_EXPIRED))
    return accepted;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* kept = ssl == nullptr ? nullptr : static_cast<std::string*>(SSL_get_app_data(ssl));
  const X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (kept == nullptr || certificate == nullptr) return accepted;
  *kept = why == X509_V_ERR_CERT_HAS_EXPIRED
              ? "it ended at " + text_of(X509_get0_notAfter(certificate))
              : "it begins at " + text_of(X509_get0_notBefore(certificate));
  return accepted;
}

// A BIO whose bytes are those of a Stream, never waiting: OpenSSL's caller waits on the stream.
struct StreamBio {
  static Stream& stream_of(BIO* bio) { return *static_cast<Stream*>(BIO_get_data(bio)); }
  static int read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    Stream& stream = stream_of(bio);
    const std::size_t got = stream.read_now({into, static_cast<std::size_t>(size)});
    if (got == 0 && stream.is_over()) return 0;
    if (got == 0) BIO_set_retry_read(bio);
    return got == 0 ? -1 : static_cast<int>(got);
  }
  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    Stream& stream = stream_of(bio);
    const std::size_t put = stream.write_now({bytes, static_cast<std::size_t>(size)});
    if (put == 0 && !stream.is_over()) BIO_set_retry_write(bio);
    return put == 0 ? -1 : static_cast<int>(put);
  }
  static long control(BIO*, int what, long, void*) { return what == BIO_CTRL_FLUSH ? 1 : 0; }
  static const BIO_METHOD* method() {
    static const std::unique_ptr<BIO_METHOD, Freer<BIO_meth_free>> kMethod([] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
      CHECK(made != nullptr);
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }());
    return kMethod.get();
  }
};

// The stream outlives the SSL: both are a TlsStream's.
void connect_to(SSL* ssl, Stream& stream) {
  if (stream.native_handle() >= 0) {
    SSL_set_fd(ssl, stream.native_handle());
    return;
  }
  BIO* bio = BIO_new(StreamBio::method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, &stream);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

std::string sha256_of(const X509* certificate) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  CHECK(
      X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &size)
      == 1);
  digest.resize(size);
  return digest;
}

// Why nothing more can be read. In TLS 1.3 a server judges its client when the handshake is over
// for that (RFC 8446 section 4.4.2.4). An end without close_notify could be an attacker's cut:
// never an orderly end.
Error why_cut(const SSL* ssl, unsigned long error) {
  if (SSL_is_server(ssl) == 0) {
    switch (ERR_GET_REASON(error)) {
      case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return {Error::kUpstream, "the server wants a client certificate"};
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return {Error::kUpstream, "the server does not take the client certificate"};
      default:
        break;
    }
  }
  return {Error::kClosed, "reading TLS: the stream was cut"};
}

class TlsStream : public Stream {
 public:
  TlsStream(Loop& loop, std::unique_ptr<Stream> socket, SslPtr ssl)
      : loop_(loop), socket_(std::move(socket)), ssl_(std::move(ssl)) {
    SSL_set_app_data(ssl_.get(), &validity_);
  }

  Task<Result<void>> handshake(Deadline deadline) {
    while (true) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_.get());
      if (done == 1) co_return Result<void>();
      const int why = SSL_get_error(ssl_.get(), done);
      if (why == SSL_ERROR_WANT_READ) {
        CO_TRY(co_await socket_->wait_readable(deadline));
      } else if (why == SSL_ERROR_WANT_WRITE) {
        CO_TRY(co_await socket_->wait_writable(deadline));
      } else {
        co_return Failure(handshake_error());
      }
    }
  }

  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline) override {
    if (loop_.has_had_its_share()) CO_TRY(co_await loop_.give_way(deadline));
    while (true) {
      ERR_clear_error();
      const int got = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
      if (got > 0) co_return static_cast<std::size_t>(got);
      CO_TRY(co_await after(got, deadline));
      if (ended_) co_return std::size_t{0};
    }
  }
  Task<Result<void>> write(std::string_view bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      ERR_clear_error();
      const int put = SSL_write(ssl_.get(), bytes.data(),
                                static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
      if (put > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(put));
        continue;
      }
      const int why = SSL_get_error(ssl_.get(), put);
      if (why == SSL_ERROR_WANT_WRITE) {
        CO_TRY(co_await socket_->wait_writable(deadline));
      } else if (why == SSL_ERROR_WANT_READ) {
        CO_TRY(co_await pause(deadline));  // the reader may hold the wait for input
      } else {
        co_return failure(Error::kClosed, "writing TLS: the peer is gone");
      }
    }
    co_return Result<void>();
  }
  Task<Result<void>> finish(Deadline deadline) override {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // close_notify; we do not wait for theirs
    co_return co_await socket_->finish(deadline);
  }
  Task<Result<void>> wait_readable(Deadline deadline) override {
    if (SSL_has_pending(ssl_.get()) == 1) co_return Result<void>();
    co_return co_await socket_->wait_readable(deadline);
  }
  bool is_quiet() override {
    // Reads what is no data (session tickets come after the handshake) out of the way.
    char probe = 0;
    ERR_clear_error();
    const int got = SSL_peek(ssl_.get(), &probe, 1);
    return got <= 0 && SSL_get_error(ssl_.get(), got) == SSL_ERROR_WANT_READ;
  }
  Task<Result<void>> wait_writable(Deadline deadline) override {
    return socket_->wait_writable(deadline);
  }
  std::size_t read_now(std::span<char> into) override {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    if (got <= 0) note_end(got);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::size_t peek_now(std::span<char> into) override {
    ERR_clear_error();
    const int got = SSL_peek(ssl_.get(), into.data(), static_cast<int>(into.size()));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::size_t write_now(std::string_view bytes) override {
    if (bytes.empty()) return 0;
    ERR_clear_error();
    const int put = SSL_write(ssl_.get(), bytes.data(),
                              static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
    if (put <= 0) note_end(put);
    return put > 0 ? static_cast<std::size_t>(put) : 0;
  }
  [[nodiscard]] bool is_over() const override { return is_over_; }
  void close_with_reset() override { socket_->close_with_reset(); }
  [[nodiscard]] Endpoint peer() const override { return socket_->peer(); }
  [[nodiscard]] Endpoint local() const override { return socket_->local(); }

 private:
  void note_end(int result) {
    const int why = SSL_get_error(ssl_.get(), result);
    is_over_ |= why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
  }
  // What a read that got nothing has to do before the next try.
  Task<Result<void>> after(int result, Deadline deadline) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        co_return co_await socket_->wait_readable(deadline);
      case SSL_ERROR_WANT_WRITE:
        co_return co_await pause(deadline);
      case SSL_ERROR_ZERO_RETURN:
        ended_ = true;
        co_return Result<void>();
      default:
        co_return Failure(why_cut(ssl_.get(), ERR_peek_error()));
    }
  }
  // Rare (a key update against a full socket): the other direction's coroutine may own the socket's
  // wait.
  Task<Result<void>> pause(Deadline deadline) {
    if (loop_.now() >= deadline.at()) co_return failure(Error::kTimeout, "TLS made no progress");
    co_await loop_.sleep_for(1ms);
    co_return Result<void>();
  }
  Error handshake_error() {
    const long verify = SSL_get_verify_result(ssl_.get());
    if (verify != X509_V_OK) {
      std::string why = std::string("the TLS certificate is not accepted: ")
                        + X509_verify_cert_error_string(verify);
      if (!validity_.empty()) {
        why += fmt::format(
            "; {}, and this machine's clock says {}: if the clock is wrong, set it "
            "(timedatectl); else the other side must renew its certificate",
            validity_, loop_.wall().text());
      }
      return {Error::kUpstream, std::move(why)};
    }
    return {Error::kUpstream, "the TLS handshake failed: " + openssl_reason()};
  }

  Loop& loop_;
  std::unique_ptr<Stream> socket_;
  SslPtr ssl_;
  std::string validity_;  // of a certificate that was refused for its time
  bool ended_ = false;
  bool is_over_ = false;
};

}  // namespace

class TlsClient::Impl {
 public:
  ContextPtr context;
};

TlsClient::TlsClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsClient::~TlsClient() = default;

Result<std::unique_ptr<TlsClient>> TlsClient::make(const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->context = TRY(make_context(TLS_client_method()));
  SSL_CTX_set_verify(impl->context.get(), SSL_VERIFY_PEER, keep_validity);
  if (options.system_roots) SSL_CTX_set_default_verify_paths(impl->context.get());
  if (!options.extra_ca_pem.empty()) TRY(trust(impl->context.get(), options.extra_ca_pem));
  if (options.anchors_are_pins) {
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(impl->context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  }
  if (options.identity != nullptr) TRY(use_identity(impl->context.get(), *options.identity));
  return std::unique_ptr<TlsClient>(new TlsClient(std::move(impl)));
}

namespace {

constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";  // as ALPN writes it

constexpr std::size_t kHttp2Size = 3;  // of it, what is HTTP/2's

unsigned char kHttp1First[] = "\x08http/1.1\x02h2";  // OpenSSL hands it on as not const

// Where a connection says, not null, that it is for HTTP/1.1 alone.
int http1_index() {
  static const int kIndex = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kIndex;
}

// A client that offers neither goes on without ALPN, as it does with a server that knows none.
int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void* http1_first) {
  unsigned char* found = nullptr;
  std::span<const unsigned char> ours(kOurs, sizeof(kOurs) - 1);
  if (http1_first != nullptr) ours = {kHttp1First, sizeof(kHttp1First) - 1};
  if (SSL_get_ex_data(ssl, http1_index()) != nullptr) {
    ours = std::span(kOurs, sizeof(kOurs) - 1).subspan(kHttp2Size);
  }
  const int how = SSL_select_next_proto(&found, size, ours.data(),
                                        static_cast<unsigned>(ours.size()), offered, offered_size);
  *chosen = found;
  return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

bool speaks_http2(const SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return size == 2 && name[0] == 'h' && name[1] == '2';
}

void ask_for(SSL* ssl, const std::string& server_name, bool is_matched) {
  std::array<unsigned char, 16> literal{};
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  if (inet_pton(AF_INET, server_name.c_str(), literal.data()) == 1
      || inet_pton(AF_INET6, server_name.c_str(), literal.data()) == 1) {
    if (is_matched) X509_VERIFY_PARAM_set1_ip_asc(verify, server_name.c_str());
    return;
  }
  if (is_matched) {
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(verify, server_name.data(), server_name.size());
  }
  SSL_set_tlsext_host_name(ssl, server_name.c_str());
}

Result<void> check_workload(const SSL* ssl, const SpiffeId& meant) {
  const SpiffeId id = TRY(spiffe_id_of(SSL_get0_peer_certificate(ssl)));
  if (meant.covers(id)) return {};
  return failure(Error::kUpstream,
                 fmt::format("its certificate is of {} and not of {}", id.text(), meant.text()));
}

}  // namespace

Task<Result<TlsClient::Connected>> TlsClient::connect(Loop& loop, std::unique_ptr<Stream> socket,
                                                      Wish wish, Deadline deadline) {
  SslPtr ssl(SSL_new(impl_->context.get()));
  CHECK(ssl);
  SSL* raw = ssl.get();
  ask_for(raw, wish.server_name, !wish.spiffe_id);
  if (wish.http2) CHECK(SSL_set_alpn_protos(raw, kOurs, sizeof(kOurs) - 1) == 0);
  connect_to(raw, *socket);
  SSL_set_connect_state(raw);
  auto stream = std::make_unique<TlsStream>(loop, std::move(socket), std::move(ssl));
  Result<void> done = co_await stream->handshake(deadline);
  if (done && wish.spiffe_id) done = check_workload(raw, *wish.spiffe_id);
  if (!done) co_return Failure(done.error().in("connecting to " + wish.server_name));
  co_return Connected{std::move(stream), speaks_http2(raw)};
}

Task<Result<std::unique_ptr<Stream>>> TlsClient::connect(Loop& loop, std::unique_ptr<Stream> socket,
                                                         std::string server_name,
                                                         Deadline deadline) {
  Connected connected = CO_TRY(
      co_await connect(loop, std::move(socket), Wish{std::move(server_name), false, {}}, deadline));
  co_return std::move(connected.stream);
}

class TlsServer::Impl {
 public:
  ContextPtr context;
};

Result<void> check_validity(std::string_view certificate_pem, WallTime now) {
  const BioPtr text = bio_of(certificate_pem);
  const CertificatePtr leaf(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!leaf) return failure(Error::kInvalid, "a TLS certificate does not parse");
  auto seconds = static_cast<time_t>(now.unix_millis() / 1000);
  if (X509_cmp_time(X509_get0_notBefore(leaf.get()), &seconds) > 0) {
    return failure(Error::kInvalid,
                   "the certificate begins at " + text_of(X509_get0_notBefore(leaf.get())));
  }
  if (X509_cmp_time(X509_get0_notAfter(leaf.get()), &seconds) < 0) {
    return failure(Error::kInvalid,
                   "the certificate ended at " + text_of(X509_get0_notAfter(leaf.get())));
  }
  return {};
}

TlsServer::TlsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsServer::~TlsServer() = default;

Result<std::unique_ptr<TlsServer>> TlsServer::make(const Options& options) {
  CHECK(options.identity != nullptr);
  auto impl = std::make_unique<Impl>();
  impl->context = TRY(make_context(TLS_server_method()));
  TRY(use_identity(impl->context.get(), *options.identity));
  constexpr std::string_view kSessionContext = "gatehouse";
  SSL_CTX_set_session_id_context(impl->context.get(),
                                 reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                 kSessionContext.size());
  if (!options.client_ca_pem.empty()) {
    TRY(trust(impl->context.get(), options.client_ca_pem));
    SSL_CTX_set_verify(impl->context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
  }
  if (options.http2) {
    SSL_CTX_set_alpn_select_cb(impl->context.get(), choose_protocol,
                               options.http1_first ? kHttp1First : nullptr);
  }
  if (options.any_client_certificate) {
    SSL_CTX_set_min_proto_version(impl->context.get(), TLS1_3_VERSION);
    SSL_CTX_set_options(impl->context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(impl->context.get(), 0);
    SSL_CTX_set_session_cache_mode(impl->context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(impl->context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
    SSL_CTX_set_cert_verify_callback(
        impl->context.get(),
        [](X509_STORE_CTX* store, void*) {
          X509_STORE_CTX_set_error(store, X509_V_OK);
          return 1;
        },
        nullptr);
  }
  return std::unique_ptr<TlsServer>(new TlsServer(std::move(impl)));
}

Task<Result<TlsServer::Accepted>> TlsServer::accept(Loop& loop, std::unique_ptr<Stream> socket,
                                                    Deadline deadline, Offer offer) {
  SslPtr ssl(SSL_new(impl_->context.get()));
  CHECK(ssl);
  SSL* raw = ssl.get();
  if (offer == Offer::kHttp1) SSL_set_ex_data(raw, http1_index(), impl_.get());
  connect_to(raw, *socket);
  SSL_set_accept_state(raw);
  auto stream = std::make_unique<TlsStream>(loop, std::move(socket), std::move(ssl));
  const Result<void> done = co_await stream->handshake(deadline);
  if (!done) co_return failure(Error::kInvalid, done.error().message());
  const char* name = SSL_get_servername(raw, TLSEXT_NAMETYPE_host_name);
  const X509* client = SSL_get0_peer_certificate(raw);
  co_return Accepted{std::move(stream), name == nullptr ? "" : name,
                     client == nullptr ? "" : sha256_of(client), speaks_http2(raw)};
}

}  // namespace gatehouse::net
