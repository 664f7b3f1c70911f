// SPDX-License-Identifier: Apache-2.0
// Whose protocol a Service of a kind speaks.
#pragma once

#include <optional>

#include "ipc/snapshot.h"
#include "wire/llm_endpoint.h"

namespace gatehouse::ipc {

// None for one that is no model's.
[[nodiscard]] constexpr std::optional<wire::LlmProvider> provider_of(ServiceKind kind) {
  switch (kind) {
    case ServiceKind::kOpenAi:
      return wire::LlmProvider::kOpenAi;
    case ServiceKind::kAnthropic:
      return wire::LlmProvider::kAnthropic;
    case ServiceKind::kGemini:
      return wire::LlmProvider::kGemini;
    case ServiceKind::kBedrock:
      return wire::LlmProvider::kBedrock;
    case ServiceKind::kAzureOpenAi:
      return wire::LlmProvider::kAzureOpenAi;
    case ServiceKind::kHttp:
    case ServiceKind::kMcp:
    case ServiceKind::kA2a:
      break;
  }
  return std::nullopt;
}

}  // namespace gatehouse::ipc
