// SPDX-License-Identifier: Apache-2.0
#include "control/house_secrets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "control/memory.h"
#include "control/network.h"
#include "control/private_file.h"
#include "ipc/codec.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kPemMost = 256 * 1024;  // bytes of a file
constexpr std::size_t kSecretsMost =
    5 * kPemMost
    + ipc::kClientIdentitiesMost * 2 * (ipc::kClientCertificateMost + ipc::kClientKeyMost);

void wipe_text(std::string& text) { wipe({text.data(), text.size()}); }

Failure too_long(const std::string& path) {
  return failure(Error::kTooLarge, fmt::format("{} has more than {} bytes", path, kPemMost));
}

// A certificate is for everyone to read.
Result<std::string> pem_of(const std::string& path) {
  const net::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return failure_from_errno(errno, "reading " + path);
  std::string text(kPemMost + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = read(file.get(), text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "reading " + path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  if (have > kPemMost) return too_long(path);
  text.resize(have);
  return text;
}

// `key`: of the config, that names the file.
Result<Secret> key_of(std::string_view key, const std::string& path) {
  WipedText read;
  TRY(read_private_file({key, path, "a private key", kPemMost}, read));
  if (read.text.size() > kPemMost) return too_long(path);
  return Secret(read.text);
}

}  // namespace

namespace {

// They travel in one message.
Result<ipc::UseClientIdentity> client_identity(const Service& service) {
  const ClientCertificate& files = *service.client_certificate;
  ipc::UseClientIdentity identity{service.tenant, service.name, TRY(pem_of(files.certificate)),
                                  TRY(key_of("client_certificate.key", files.key))};
  if (identity.certificate_pem.size() > ipc::kClientCertificateMost
      || identity.private_key_pem.size() > ipc::kClientKeyMost) {
    return failure(Error::kTooLarge,
                   fmt::format("{} may have {} bytes, and {} {}", files.certificate,
                               ipc::kClientCertificateMost, files.key, ipc::kClientKeyMost));
  }
  return identity;
}

}  // namespace

Result<HouseSecrets> read_house_secrets(const Config& config) {
  HouseSecrets secrets;
  secrets.proxy_authorization = TRY(proxy_authorization(config.network));
  if (!config.admin.certificate.empty()) {
    secrets.admin_certificate = TRY(pem_of(config.admin.certificate));
    secrets.admin_key = TRY(key_of("admin.tls_key", config.admin.key));
  }
  if (!config.attach.certificate.empty()) {
    secrets.attach_certificate = TRY(pem_of(config.attach.certificate));
    secrets.attach_key = TRY(key_of("attach.tls_key", config.attach.key));
  }
  secrets.otlp_headers = TRY(otlp_headers(config.telemetry));
  for (const Service& service : config.services) {
    if (!service.client_certificate) continue;
    if (secrets.client_identities.size() == ipc::kClientIdentitiesMost) {
      return failure(Error::kTooMany, fmt::format("at most {} services have a client certificate",
                                                  ipc::kClientIdentitiesMost));
    }
    secrets.client_identities.push_back(TRY(client_identity(service)));
  }
  return secrets;
}

Result<net::Descriptor> secrets_memory(HouseSecrets& secrets) {
  std::string bytes = ipc::encode(secrets);
  auto memory = sealed_memory("secrets", bytes);
  wipe_text(bytes);
  return memory;
}

Result<HouseSecrets> secrets_of_memory(const net::Descriptor& memory) {
  std::string bytes = TRY(bytes_of_memory(memory, kSecretsMost));
  auto secrets = ipc::decode<HouseSecrets>(bytes);
  wipe_text(bytes);
  return secrets;
}

Result<std::unique_ptr<net::TlsServer>> admin_tls(const AdminListen& admin,
                                                  const HouseSecrets& secrets) {
  if (admin.certificate.empty()) return std::unique_ptr<net::TlsServer>();
  const net::TlsIdentity identity{secrets.admin_certificate,
                                  secrets.admin_key.duplicate(Purpose::kTransport)};
  auto made = net::TlsServer::make({&identity, ""});
  if (made) return made;
  return Failure(
      made.error().in(fmt::format("the admin port's {} and {}", admin.certificate, admin.key)));
}

Result<void> check_admin_time(const AdminListen& admin, const HouseSecrets& secrets, WallTime now) {
  if (admin.certificate.empty()) return {};
  const auto valid = net::check_validity(secrets.admin_certificate, now);
  if (valid) return valid;
  return Failure(valid.error().in("the admin port's " + admin.certificate));
}

Result<void> check_attach_pair(const AttachListen& attach, const HouseSecrets& secrets,
                               WallTime now) {
  if (attach.certificate.empty()) return {};
  const net::TlsIdentity identity{secrets.attach_certificate,
                                  secrets.attach_key.duplicate(Purpose::kTransport)};
  const auto made = net::TlsServer::make({.identity = &identity, .any_client_certificate = true});
  const auto valid =
      made ? net::check_validity(secrets.attach_certificate, now) : Failure(made.error());
  if (valid) return {};
  return Failure(
      valid.error().in(fmt::format("the {} and {} of attach", attach.certificate, attach.key)));
}

Result<void> check_client_identities(const std::vector<ipc::UseClientIdentity>& identities,
                                     WallTime now) {
  for (const ipc::UseClientIdentity& each : identities) {
    const net::TlsIdentity own{each.certificate_pem,
                               each.private_key_pem.duplicate(Purpose::kTransport)};
    const auto made = net::TlsClient::make({.system_roots = false, .identity = &own});
    const auto valid =
        made ? net::check_validity(each.certificate_pem, now) : Failure(made.error());
    if (valid) continue;
    return Failure(valid.error().in("the client certificate of service " + each.service));
  }
  return {};
}

}  // namespace gatehouse::control
