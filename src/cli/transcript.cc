// SPDX-License-Identifier: Apache-2.0
// `gatehouse transcript`.
#include "audit/transcript.h"

#include "base/encoding.h"
#include "cli/client.h"
#include "cli/remote.h"
#include "cli/verbs.h"
#include "ipc/any_audit.h"

namespace gatehouse::cli {
namespace {

constexpr std::uint64_t kBodyMost = 64 * 1024 * 1024;

Result<std::string> body_of(Client& client, const audit::BodyRef& body) {
  const std::string object(body.object.begin(), body.object.end());
  std::string bytes;
  while (bytes.size() < body.size) {
    const ipc::BodyPiece piece = TRY(client.call(ipc::ReadBody{object, bytes.size()}));
    if (piece.bytes.empty() || piece.total_bytes > kBodyMost) {
      return failure(Error::kCorrupt, "the log has less of it than it says");
    }
    bytes += piece.bytes;
  }
  return bytes;
}

Result<audit::Transcript> story_of(Client& client, const RunId& run) {
  audit::Transcript story;
  std::uint64_t from = 0;
  do {
    const ipc::EntryPage page = TRY(client.call(ipc::ReadRun{run, from}));
    for (std::size_t i = 0; i < page.entries.size() && i < page.sequences.size(); ++i) {
      audit::Entry entry = TRY(audit::decode(page.entries[i]));
      entry.sequence = page.sequences[i];
      story.add(std::move(entry));
    }
    if (page.next_sequence <= from) break;
    from = page.next_sequence;
  } while (true);
  return story;
}

// A run is named by its id, by its trace id, or by one that its agent used for itself.
Result<RunId> named_run(Client& client, const std::string& name) {
  const auto trace = TraceId::parse(name);
  if (!trace) return RunId::parse(name);
  const auto found = TRY(client.call(ipc::FindTrace{*trace}));
  if (found.runs.empty()) return failure(Error::kNotFound, "no run has the trace " + name);
  return found.runs.front();
}

}  // namespace

Result<int> transcript(const Options& options, const Wiring& wiring) {
  if (const auto api = TRY(Api::signed_in(options, wiring)))
    return remote_transcript(*api, options);
  Client client = TRY(Client::connect(TRY(data_directory(options, wiring)) + "/run/control.sock"));
  const RunId run = TRY(named_run(client, options.run));
  const audit::Transcript story = TRY(story_of(client, run));
  if (story.empty()) return failure(Error::kNotFound, "nothing is on record of " + run.text());
  const audit::FetchBody fetch = [&client](const audit::BodyRef& body) {
    return body_of(client, body);
  };
  print(options.form == Form::kJson ? story.json(fetch) + "\n" : story.text(fetch, options.full));
  return 0;
}

}  // namespace gatehouse::cli
