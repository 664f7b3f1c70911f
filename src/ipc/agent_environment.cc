// SPDX-License-Identifier: Apache-2.0
#include "ipc/agent_environment.h"

namespace gatehouse::ipc {

std::vector<std::string> proxy_variables(const std::string& proxy) {
  return {
      "http_proxy=" + proxy,
      "https_proxy=" + proxy,
      "HTTP_PROXY=" + proxy,
      "HTTPS_PROXY=" + proxy,
      "no_proxy=127.0.0.1,localhost,::1",
      "NO_PROXY=127.0.0.1,localhost,::1",
      "NODE_USE_ENV_PROXY=1",
  };
}

std::vector<std::string> trust_variables(const std::string& bundle) {
  return {
      "SSL_CERT_FILE=" + bundle,      "CURL_CA_BUNDLE=" + bundle,
      "REQUESTS_CA_BUNDLE=" + bundle, "NODE_EXTRA_CA_CERTS=" + bundle,
      "GIT_SSL_CAINFO=" + bundle,     "PIP_CERT=" + bundle,
      "AWS_CA_BUNDLE=" + bundle,      "CARGO_HTTP_CAINFO=" + bundle,
  };
}

}  // namespace gatehouse::ipc
