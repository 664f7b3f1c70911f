// SPDX-License-Identifier: Apache-2.0
// What an Entry is as a span of OpenTelemetry: each Exchange that has ended, or was refused, and
// each Run. Pure. No content is in it (names.h), and no words of an error: those may hold what an
// upstream said.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::exporter {

// As JSON of OTLP (opentelemetry-proto 1.x, `Span`; ids in hexadecimal, 64-bit numbers as strings).
// Nothing for an Entry that is no end of anything.
[[nodiscard]] std::optional<std::string> span_of(const audit::Entry& entry);

using Attributes = std::vector<std::pair<std::string, std::string>>;
// An ExportTraceServiceRequest of those spans, all of one resource.
[[nodiscard]] std::string export_request(const Attributes& resource,
                                         const std::vector<std::string>& spans);

// What a collector says of a request that it has taken.
struct Taken {
  std::int64_t rejected = 0;
  std::string why;
};
// Of an ExportTraceServiceResponse in JSON; what is none says that all was taken.
[[nodiscard]] Taken parse_export_response(std::string_view body);

}  // namespace gatehouse::exporter
