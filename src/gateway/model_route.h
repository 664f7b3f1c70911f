// SPDX-License-Identifier: Apache-2.0
// Where a request is aimed at, and as what it goes there: at the Service that the agent named, as
// it came; or, where its model is a name that the Service has a model route for, at one of the
// route's targets, made into a request for that one. What goes out is read and ruled on again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateway/attempts.h"
#include "gateway/call.h"
#include "gateway/upstream.h"
#include "ipc/snapshot.h"
#include "wire/headers.h"
#include "wire/translation.h"

namespace gatehouse::gateway {

struct Exchange;
struct Ruling;

struct Aim {
  const ipc::ServiceSpec* service = nullptr;  // null: a host that is no Service
  Destination destination;
  std::string path;    // canonical, as it is below the Service's base path
  std::string target;  // path and query as they are sent

  // Of a target of a model route:
  bool is_target = false;
  std::size_t index = 0;
  std::unique_ptr<Call> call;                    // what goes there
  std::optional<std::string> body;               // instead of the agent's own
  bool hides_usage = false;                      // the body asks for what the agent did not
  std::optional<wire::TranslatedTo> translated;  // the dialect there, where it is another
  bool wants_usage = false;  // of one that is translated: the agent asked for it
};

// Aims at the first target that may be used, unless `of` has no model route. Where none may, for
// want of a rule, the Ruling becomes the denial. Errors: kInvalid where the request cannot be made
// into one for any of them, kUnavailable while all of them want to be left alone.
[[nodiscard]] Result<void> aim(Exchange& of);
// The next target that may be used after those that were; nothing when there is none.
[[nodiscard]] std::optional<Aim> next_aim(Exchange& of);
// Aims at it, at a place of its Service's if that bounds its exchanges. False: it has none left.
[[nodiscard]] bool take_place(Exchange& of, const Aim& at);

// "service/model", for the record.
[[nodiscard]] std::string name_of(const Exchange& of, const Aim& at);
// Puts down what came of the target that `of` aimed at, as in "openai/gpt-5 503".
void note_attempt(Exchange& of, const Aim& at, std::string_view what);

// The agent's header fields that go where `of` is aimed at. To another Service than the one that
// the agent named go only those that mean the same everywhere.
[[nodiscard]] wire::Headers headers_for(const Exchange& of);

// Forgets what the Snapshot no longer names.
void keep_routes_of(const ipc::Snapshot& snapshot, AttemptMemory& memory);

}  // namespace gatehouse::gateway
