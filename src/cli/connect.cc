// SPDX-License-Identifier: Apache-2.0
// `gatehouse connect`: a credential on its way into the vault, sealed before it leaves this
// process.
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/encoding.h"
#include "cli/client.h"
#include "cli/redirect.h"
#include "cli/sealed.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "ipc/cli_control.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kSecretMost = 48 * 1024;

Result<Secret> secret_in_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return failure_from_errno(errno, "reading " + path);
  std::array<char, kSecretMost> text{};
  file.read(text.data(), text.size());
  std::string_view value(text.data(), static_cast<std::size_t>(file.gcount()));
  while (value.ends_with('\n') || value.ends_with('\r')) value.remove_suffix(1);
  Secret secret(value);
  wipe(text);
  if (secret.empty()) return failure(Error::kInvalid, path + " is empty; nothing is stored");
  if (secret.size() == kSecretMost) return failure(Error::kTooLarge, path + " is too long");
  return secret;
}

Result<Secret> key_of(const Options& options) {
  if (!options.from_file.empty()) return secret_in_file(options.from_file);
  if (options.from_env.empty()) {
    return read_secret(fmt::format("Key for {}: ", printable(options.service)));
  }
  const char* value = std::getenv(options.from_env.c_str());
  if (value == nullptr || *value == '\0') {
    return failure(Error::kNotFound, options.from_env + " is not set; nothing is stored");
  }
  return Secret(value);
}

Result<int> put(Client& client, const Options& options, const std::string& tenant,
                ipc::CredentialKind kind, const Secret& secret) {
  const bool is_client = kind == ipc::CredentialKind::kOauthClientSecret;
  const std::string user = is_client ? "" : options.user;
  std::string sealed = TRY(sealed_for_vault(client, secret));
  TRY(client.call(ipc::PutSealed{tenant, user, options.service, kind, std::move(sealed)}));
  print(told(options.form,
             is_client ? fmt::format("the client secret of {} is in the vault", options.service)
                       : fmt::format("{} is connected to {}; the key is in the vault",
                                     user.empty() ? "the tenant" : user, options.service),
             {{"connected", options.service}, {"user", user}}));
  return 0;
}

Result<int> authorize(Client& client, const Options& options, const std::string& tenant) {
  RedirectListener listener = TRY(RedirectListener::open());
  const auto started = TRY(
      client.call(ipc::StartAuthorization{tenant, options.user, options.service, listener.uri()}));
  if (options.form == Form::kJson) {
    print(told(options.form, "", {{"authorize", started.url}}));
  } else {
    print(fmt::format("Open this link, and sign in as {}:\n\n  {}\n\n",
                      options.user.empty() ? "the tenant's account" : printable(options.user),
                      printable(started.url)));
  }
  const Redirect redirect = TRY(listener.wait(started.state));
  std::string sealed = TRY(sealed_for_vault(client, redirect.code));
  TRY(client.call(ipc::FinishAuthorization{started.state, redirect.issuer, std::move(sealed)}));
  print(told(options.form,
             fmt::format("{} is connected to {}",
                         options.user.empty() ? "the tenant" : options.user, options.service),
             {{"connected", options.service}, {"user", options.user}}));
  return 0;
}

}  // namespace

Result<int> connect(const Options& options, const Wiring& wiring) {
  Client client = TRY(Client::connect(TRY(data_directory(options, wiring)) + "/run/control.sock"));
  const auto service = TRY(client.call(ipc::DescribeService{options.tenant, options.service}));
  if (options.remove) {
    TRY(client.call(ipc::RemoveConnection{service.tenant, options.user, options.service}));
    print(told(options.form, fmt::format("{} is unlinked", options.service),
               {{"removed", options.service}, {"user", options.user}}));
    return 0;
  }
  if (!service.has_credential) {
    return failure(Error::kInvalid, fmt::format("service {} needs no credential", options.service));
  }
  if (!options.client_secret_file.empty()) {
    return put(client, options, service.tenant, ipc::CredentialKind::kOauthClientSecret,
               TRY(secret_in_file(options.client_secret_file)));
  }
  if (!service.shared && options.user.empty()) {
    return failure(Error::kInvalid, fmt::format("{} has a connection for each user; say whose "
                                                "with --user",
                                                options.service));
  }
  if (service.kind == ipc::CredentialKind::kOauth) {
    return authorize(client, options, service.tenant);
  }
  return put(client, options, service.tenant, ipc::CredentialKind::kStatic, TRY(key_of(options)));
}

}  // namespace gatehouse::cli
