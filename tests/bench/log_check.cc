// SPDX-License-Identifier: Apache-2.0
// What the log knows of a bench, read from its files after the house has stopped:
//   log_check AUDIT_DIRECTORY SAMPLES_DIRECTORY
// SAMPLES_DIRECTORY holds what the upstreams kept (mock_upstream.cc): the span of every request
// that reached them, and the bodies of some. Prints one line of JSON: whether the log verifies; how
// many Exchanges it has, how many of them without a rule that allowed them or without an end; how
// many requests were refused; how many spans the upstreams saw and how many of those are not in the
// log as an Exchange that a rule allowed and that has an end; how many were relayed to their end;
// and how many samples the log rebuilds byte for byte. Exit status 1 when a span is missing, a
// sample differs, or the log does not verify.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "audit/log.h"
#include "audit/verify.h"
#include "net/file.h"

namespace gatehouse {
namespace {

struct Bodies {
  std::optional<audit::BodyRef> request;
  std::optional<audit::BodyRef> response;
  bool done = false;  // else the load went away in the middle of it
};

// What the log says of one span that an upstream saw.
struct Seen {
  bool intended = false;  // an Intent, allowed by a rule that it names
  bool settled = false;
};

// What the upstreams kept.
struct Kept {
  std::unordered_map<std::string, Seen> spans;
  std::map<std::string, Bodies> samples;
};

struct Counts {
  std::uint64_t exchanges = 0;
  std::uint64_t unruled = 0;
  std::uint64_t settled = 0;
  std::uint64_t done = 0;
  std::uint64_t refused = 0;
  std::uint64_t missing = 0;
  std::uint64_t rebuilt = 0;
  std::uint64_t differing = 0;
  std::uint64_t unfinished = 0;
};

Kept kept_in(const std::filesystem::path& directory) {
  Kept kept;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() == ".request") kept.samples[file.path().stem()];
    if (file.path().extension() != ".spans") continue;
    std::ifstream lines(file.path());
    for (std::string span; std::getline(lines, span);) kept.spans[span];
  }
  return kept;
}

void take(Bodies& bodies, const audit::Entry& entry) {
  for (const audit::BodyRef& body : entry.bodies) {
    if (body.name == "request") bodies.request = body;
    if (body.name == "response") bodies.response = body;
  }
  if (entry.kind == audit::Kind::kSettled) bodies.done = entry.tag("state") == "done";
}

void take(const audit::Entry& entry, Kept& kept, Counts& counts) {
  const bool ruled = entry.tag("ruling") == "allow" && !entry.tag("rule").empty();
  const bool intent = entry.kind == audit::Kind::kIntent;
  const bool settled = entry.kind == audit::Kind::kSettled;
  if (entry.kind == audit::Kind::kRefused) ++counts.refused;
  if (intent) ++counts.exchanges;
  if (intent && !ruled) ++counts.unruled;
  if (settled) ++counts.settled;
  if (settled && entry.tag("state") == "done") ++counts.done;
  const std::string span = entry.span.text();
  if (const auto seen = kept.spans.find(span); seen != kept.spans.end()) {
    if (intent && ruled) seen->second.intended = true;
    if (settled) seen->second.settled = true;
  }
  if (const auto sample = kept.samples.find(span); sample != kept.samples.end()) {
    take(sample->second, entry);
  }
}

// On record is what the agent sent: without the wish for usage that the gateway adds to a stream.
std::string as_the_agent_sent_it(std::string request) {
  constexpr std::string_view kAdded = R"("stream_options":{"include_usage":true},)";
  if (request.compare(1, kAdded.size(), kAdded) == 0) request.erase(1, kAdded.size());
  return request;
}

bool is_same(audit::Log& log, const std::optional<audit::BodyRef>& body,
             const std::filesystem::path& sample) {
  if (!body) return false;
  std::ifstream file(sample, std::ios::binary);
  const std::string expected = as_the_agent_sent_it({std::istreambuf_iterator<char>(file), {}});
  const auto found = log.read_body(body->object, 0, body->size);
  return found && *found == expected;
}

Result<Counts> counted(audit::Log& log, Kept& kept, const std::filesystem::path& directory) {
  Counts counts;
  for (std::uint64_t sequence = 0; sequence < log.size(); ++sequence) {
    take(TRY(audit::decode(TRY(log.read(sequence)))), kept, counts);
  }
  for (const auto& [span, seen] : kept.spans) {
    if (seen.intended && seen.settled) continue;
    if (counts.missing++ == 0) {
      fmt::print(stderr, "log_check: span {} reached the upstream; in the log: {}, {}\n", span,
                 seen.intended ? "allowed by a rule" : "nothing that allowed it",
                 seen.settled ? "with an end" : "without an end");
    }
  }
  for (const auto& [span, bodies] : kept.samples) {
    if (!bodies.done) {
      ++counts.unfinished;
    } else if (is_same(log, bodies.request, directory / (span + ".request"))
               && is_same(log, bodies.response, directory / (span + ".response"))) {
      ++counts.rebuilt;
    } else {
      ++counts.differing;
    }
  }
  return counts;
}

Result<int> check(const char* directory, const char* samples) {
  auto files = TRY(net::open_file_system(directory));
  const bool intact = audit::verify(*files).intact();
  auto log = TRY(audit::Log::open(*files));
  Kept kept = kept_in(samples);
  const Counts counts = TRY(counted(*log, kept, samples));
  fmt::print(R"({{"intact":{},"exchanges":{},"unruled":{},"settled":{},"done":{},"refused":{},)"
             R"("reached":{},"missing":{},"rebuilt":{},"differing":{},"unfinished":{}}})"
             "\n",
             intact, counts.exchanges, counts.unruled, counts.settled, counts.done, counts.refused,
             kept.spans.size(), counts.missing, counts.rebuilt, counts.differing,
             counts.unfinished);
  return intact && counts.missing == 0 && counts.differing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace gatehouse

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const auto status = gatehouse::check(argv[1], argv[2]);
  if (!status) fmt::print(stderr, "log_check: {}\n", status.error().message());
  return status.value_or(1);
}
