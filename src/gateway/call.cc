// SPDX-License-Identifier: Apache-2.0
#include "gateway/call.h"

namespace gatehouse::gateway {

std::optional<wire::LlmProvider> provider_of(ipc::ServiceKind kind) {
  switch (kind) {
    case ipc::ServiceKind::kOpenAi:
      return wire::LlmProvider::kOpenAi;
    case ipc::ServiceKind::kAnthropic:
      return wire::LlmProvider::kAnthropic;
    case ipc::ServiceKind::kGemini:
      return wire::LlmProvider::kGemini;
    case ipc::ServiceKind::kBedrock:
      return wire::LlmProvider::kBedrock;
    case ipc::ServiceKind::kAzureOpenAi:
      return wire::LlmProvider::kAzureOpenAi;
    case ipc::ServiceKind::kHttp:
    case ipc::ServiceKind::kMcp:
    case ipc::ServiceKind::kA2a:
      break;
  }
  return std::nullopt;
}

}  // namespace gatehouse::gateway
