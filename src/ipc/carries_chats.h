// SPDX-License-Identifier: Apache-2.0
// Between which kinds of Services a chat can be carried over: what control admits into a model
// route, and what a gateway then does. Pure.
#pragma once

#include "ipc/snapshot.h"

namespace gatehouse::ipc {

// Whether an OpenAI chat at a Service of the one kind can be asked of one of the other, in that
// one's dialect (wire/translation.h).
[[nodiscard]] constexpr bool carries_chats(ServiceKind from, ServiceKind to) {
  return speak_alike(from, ServiceKind::kOpenAi)
         && (to == ServiceKind::kAnthropic || to == ServiceKind::kGemini);
}

}  // namespace gatehouse::ipc
