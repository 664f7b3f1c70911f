// SPDX-License-Identifier: Apache-2.0
#include "control/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "control/private_file.h"
#include "ipc/network.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kCredentialsMost = 4096;  // bytes
constexpr std::size_t kNoProxyMost = 256;       // items
constexpr std::size_t kShownMost = 63;

void decode_extra_ca(Section& file, const ReadNamed& read, ipc::NetworkSpec& spec) {
  const auto named = file.string("extra_ca", Need::kOptional);
  if (!named) return;
  const auto unreadable = [&](std::string what) {
    file.problem("extra_ca", "extra_ca: " + std::move(what), ProblemKind::kUnreadableFile);
  };
  const auto pem = read(*named);
  if (!pem) {
    unreadable(pem.error().message());
  } else if (!pem->contains("-----BEGIN CERTIFICATE-----")) {
    unreadable(*named + " has no PEM certificate");
  } else if (pem->size() > ipc::kExtraCaMost) {
    unreadable(
        fmt::format("{} is larger than {} bytes: leave out what the system's own roots have "
                    "already",
                    *named, ipc::kExtraCaMost));
  } else {
    spec.extra_ca_pem = *pem;
  }
}

void decode_url(Section& section, ipc::NetworkSpec& spec) {
  const auto text = section.string("url", Need::kRequired);
  if (!text) return;
  const auto url = wire::Url::parse(*text);
  if (!url) {
    section.problem("url", text->contains('@') ? "url must not hold the proxy's credentials: they "
                                                 "go into a file, which credentials_file names"
                                               : "url: " + url.error().message());
  } else if (url->scheme != wire::Scheme::kHttp) {
    section.problem("url",
                    "the proxy is spoken to in plain http, inside which TLS goes to the upstream: "
                    "url must be http://HOST:PORT");
  } else if (url->path_and_query != "/") {
    section.problem("url", "url must be http://HOST:PORT, without a path");
  } else {
    spec.proxy_host = url->host.ip() ? url->host.ip()->text() : url->host.text();
    spec.proxy_port = url->port;
  }
}

void decode_proxy(Section& section, Network& network) {
  decode_url(section, network.spec);
  if (const auto named = section.string("credentials_file", Need::kOptional)) {
    network.credentials_file = *named;
    network.spec.proxy_wants_credentials = true;
    if (!named->starts_with('/')) {
      section.problem("credentials_file", "credentials_file must be an absolute path");
    }
  }
  network.spec.proxy_resolves = section.word("resolve", {"here", "proxy"}, Need::kOptional) == 1;
  network.spec.no_proxy = section.strings("no_proxy");
  if (network.spec.no_proxy.size() > kNoProxyMost) {
    section.problem("no_proxy", fmt::format("no_proxy may have at most {} items", kNoProxyMost));
  }
  for (const std::string& item : network.spec.no_proxy) {
    if (ipc::is_no_proxy(item)) continue;
    section.problem("no_proxy", fmt::format("\"{}\" must be a host in lower case, \"*.\" and a "
                                            "domain, an address, or a prefix such as 10.0.0.0/8",
                                            printable(item.substr(0, kShownMost))));
  }
}

}  // namespace

Network decode_network(Section& file, const ReadNamed& read, Problems& problems) {
  Network network;
  decode_extra_ca(file, read, network.spec);
  if (const Yaml* proxy = file.value("upstream_proxy")) {
    Section section(*proxy, "upstream_proxy", problems);
    decode_proxy(section, network);
    section.finish();
  }
  return network;
}

Result<Secret> proxy_authorization(const Network& network) {
  if (network.credentials_file.empty()) return Secret();
  WipedText line;
  TRY(read_private_file({"upstream_proxy.credentials_file", network.credentials_file,
                         "the proxy's credentials", kCredentialsMost},
                        line));
  while (line.text.ends_with('\n') || line.text.ends_with('\r')) line.text.pop_back();
  const std::size_t colon = line.text.find(':');
  const bool is_plain = std::none_of(line.text.begin(), line.text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
  if (colon == 0 || colon == std::string::npos || !is_plain
      || line.text.size() > kCredentialsMost) {
    return failure(Error::kInvalid, fmt::format("{} must hold one line, USER:PASSWORD, of at most "
                                                "{} bytes",
                                                network.credentials_file, kCredentialsMost));
  }
  WipedText encoded;
  encoded.text = "Basic " + to_base64(line.text);
  return Secret(encoded.text);
}

}  // namespace gatehouse::control
