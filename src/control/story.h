// SPDX-License-Identifier: Apache-2.0
// The story of a Run with all its bodies, read from the audit role.
#pragma once

#include <map>
#include <string>

#include "audit/transcript.h"
#include "control/control.h"

namespace gatehouse::control {

struct Story {
  audit::Transcript transcript;
  std::map<audit::ObjectId, std::string> bodies;
  // As `gatehouse transcript` has it, with --json and without; `whole` is --full.
  [[nodiscard]] std::string json() const;
  [[nodiscard]] std::string text(bool whole) const;

 private:
  [[nodiscard]] audit::FetchBody fetch() const;
};

// Errors: kNotFound when nothing is on record of the Run; kTooLarge above `most` bytes of Entries
// and bodies; the audit role's.
[[nodiscard]] net::Task<Result<Story>> read_story(Control& control, RunId run, std::size_t most);

}  // namespace gatehouse::control
