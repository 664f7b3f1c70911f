// SPDX-License-Identifier: Apache-2.0
// What the log knows of a bench, read from its files after the house has stopped:
//   log_check AUDIT_DIRECTORY SAMPLES_DIRECTORY
// Prints one line of JSON: whether the log verifies; how many Exchanges it has, how many of them
// without a rule that allowed them or without an end; how many requests were refused; and how many
// of the upstream's samples (SPAN.request, SPAN.response: the bodies as it read and wrote them)
// the log rebuilds byte for byte. Exit status 1 when one of them differs.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>

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

struct Counts {
  std::uint64_t exchanges = 0;
  std::uint64_t unruled = 0;
  std::uint64_t settled = 0;
  std::uint64_t refused = 0;
  std::uint64_t rebuilt = 0;
  std::uint64_t differing = 0;
  std::uint64_t unfinished = 0;
};

void take(Bodies& bodies, const audit::Entry& entry) {
  for (const audit::BodyRef& body : entry.bodies) {
    if (body.name == "request") bodies.request = body;
    if (body.name == "response") bodies.response = body;
  }
  if (entry.kind == audit::Kind::kSettled) bodies.done = entry.tag("state") == "done";
}

bool is_same(audit::Log& log, const std::optional<audit::BodyRef>& body,
             const std::filesystem::path& sample) {
  if (!body) return false;
  std::ifstream file(sample, std::ios::binary);
  const std::string expected((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
  const auto found = log.read_body(body->object, 0, body->size);
  return found && *found == expected;
}

Result<Counts> counted(audit::Log& log, const std::filesystem::path& samples) {
  Counts counts;
  std::map<std::string, Bodies> sampled;
  for (const auto& file : std::filesystem::directory_iterator(samples)) {
    sampled[file.path().stem()];
  }
  for (std::uint64_t sequence = 0; sequence < log.size(); ++sequence) {
    const audit::Entry entry = TRY(audit::decode(TRY(log.read(sequence))));
    if (entry.kind == audit::Kind::kRefused) ++counts.refused;
    if (entry.kind == audit::Kind::kSettled) ++counts.settled;
    if (entry.kind == audit::Kind::kIntent) {
      ++counts.exchanges;
      if (entry.tag("ruling") != "allow" || entry.tag("rule").empty()) ++counts.unruled;
    }
    const auto found = sampled.find(entry.span.text());
    if (found != sampled.end()) take(found->second, entry);
  }
  for (const auto& [span, bodies] : sampled) {
    if (!bodies.done) {
      ++counts.unfinished;
    } else if (is_same(log, bodies.request, samples / (span + ".request"))
               && is_same(log, bodies.response, samples / (span + ".response"))) {
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
  const Counts counts = TRY(counted(*log, samples));
  fmt::print(R"({{"intact":{},"exchanges":{},"unruled":{},"settled":{},"refused":{},"rebuilt":{},)"
             R"("differing":{},"unfinished":{}}})"
             "\n",
             intact, counts.exchanges, counts.unruled, counts.settled, counts.refused,
             counts.rebuilt, counts.differing, counts.unfinished);
  return counts.differing == 0 && intact ? 0 : 1;
}

}  // namespace
}  // namespace gatehouse

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const auto status = gatehouse::check(argv[1], argv[2]);
  if (!status) fmt::print(stderr, "log_check: {}\n", status.error().message());
  return status.value_or(1);
}
