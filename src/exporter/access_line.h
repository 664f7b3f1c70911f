// SPDX-License-Identifier: Apache-2.0
// What an Entry is as a line of the access log: a JSON object for each Exchange that has ended or
// was refused. docs/observing.md describes the fields. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "audit/entry.h"

namespace gatehouse::exporter {

// With its end of line. A pipe takes as much at once (PIPE_BUF): lines of several writers do not
// mix.
inline constexpr std::size_t kLineMost = 4096;

// With its newline. Nothing for an Entry that is no Exchange's end.
[[nodiscard]] std::optional<std::string> access_line(const audit::Entry& entry);

}  // namespace gatehouse::exporter
