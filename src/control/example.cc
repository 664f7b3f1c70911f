// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/encoding.h"
#include "control/config.h"
#include "control/values.h"

namespace gatehouse::control {
namespace {

constexpr std::string_view kExample =
    R"(# gatehouse.yaml: who may do what. docs/configuration.md describes every key.
# `gatehouse config check` reads it and says what is wrong; `gatehouse up` applies it. What is
# named here is changed only here. No secret belongs in this file: keys are given with
# `gatehouse connect`, and go sealed to the vault.
version: 1

# Where state, sealed credentials, the audit log and the agents' home volumes lie.
data: {0}

# People on whose behalf agents run.
users:
  - name: {1}

# Who administers the house beside root and the owner of the data directory; docs/people.md has the
# roles. Groups, service accounts and issuers are described there too.
bindings:
  - {{role: owner, user: {1}}}

# What agents may be let through to.
services:
  - name: openai
    kind: openai                        # openai, mcp or http: how requests are understood
    url: http://openai.gatehouse        # how the agent names it; https is intercepted
    upstream: https://api.openai.com    # where the gateway dials; a path here is put in front
    credential:
      kind: static                      # a key; `gatehouse connect openai --user {1}` takes it
      header: authorization
      prefix: "Bearer "
    scope: user                         # each user's own key; tenant: one key for everyone

  # An API with OAuth 2.0. The client's secret, if it has one, is given with
  # `gatehouse connect calendar --client-secret-file FILE`.
  # - name: calendar
  #   kind: http
  #   url: https://calendar.example.com
  #   upstream: https://calendar.example.com
  #   credential:
  #     kind: oauth
  #     authorization_endpoint: https://login.example.com/authorize
  #     token_endpoint: https://login.example.com/token
  #     revocation_endpoint: https://login.example.com/revoke
  #     issuer: https://login.example.com
  #     client_id: gatehouse
  #     scopes: [calendar.read, calendar.write]
  #   intent: ["/exports/**"]           # GETs that are recorded durably before they are sent

  # An MCP server on this machine: loopback has to be allowed.
  # - name: tools
  #   kind: mcp
  #   url: http://tools.gatehouse
  #   upstream: http://127.0.0.1:3001
  #   allow_private: true

# Programs that act. Everything that no rule allows is refused, and on record.
agents:
  - name: shell
    command: [/bin/bash]                # what `gatehouse run` starts when it is given no command
    volume: home                        # kept between runs, one for each user
    # skeleton: /etc/gatehouse/shell   # what a new volume begins with
    # toolbox: [/opt/tools]             # host directories beside /usr, read-only
    # read_only: [SOUL.md]              # files of the volume that the agent may not change
    environment:
      OPENAI_BASE_URL: http://openai.gatehouse/v1
      OPENAI_API_KEY: "{{{{placeholder:openai}}}}"   # not the key: it stands in for it
    memory: 2GiB
    pids: 512
    # leases_per_second: 500            # how often one run may use credentials
    rules:
      - {{id: models, service: openai, methods: [POST], paths: ["/v1/chat/completions"]}}
      # - {{id: tools, service: tools, tools: [echo, add]}}
      # - {{id: web, hosts: ["*.example.com"], methods: [GET, HEAD], paths: ["/**"]}}
)";

}  // namespace

Result<std::string> example_config(std::string_view data_directory, std::string_view admin) {
  if (!is_name(admin)) {
    return failure(Error::kInvalid,
                   fmt::format("\"{}\" is no name for a user: lower-case letters, digits, \"-\", "
                               "\"_\" and \".\"",
                               printable(admin)));
  }
  return fmt::format(kExample, data_directory, admin);
}

}  // namespace gatehouse::control
