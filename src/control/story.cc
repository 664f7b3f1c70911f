// SPDX-License-Identifier: Apache-2.0
#include "control/story.h"

#include <fmt/format.h>

namespace gatehouse::control {
namespace {

using net::Task;

// Of a Story that is read: how much it may still be.
struct Allowance {
  std::size_t most;
  std::size_t used = 0;
  [[nodiscard]] Result<void> take(std::size_t bytes) {
    used += bytes;
    if (used <= most) return {};
    return failure(Error::kTooLarge,
                   fmt::format("the story has more than {} bytes; `gatehouse transcript` on the "
                               "host shows it",
                               most));
  }
};

Task<Result<std::string>> read_body(Control* control, audit::BodyRef body, Allowance* left) {
  CO_TRY(left->take(body.size));
  const std::string object(body.object.begin(), body.object.end());
  std::string bytes;
  while (bytes.size() < body.size) {
    const ipc::BodyPiece piece =
        CO_TRY(co_await control->call("audit", ipc::ReadBody{object, bytes.size()}));
    if (piece.bytes.empty()) co_return failure(Error::kCorrupt, "the log has less of it");
    bytes += piece.bytes;
  }
  co_return bytes;
}

}  // namespace

audit::FetchBody Story::fetch() const {
  return [this](const audit::BodyRef& body) -> Result<std::string> {
    const auto found = bodies.find(body.object);
    if (found == bodies.end()) return failure(Error::kNotFound, "the log does not have it");
    return found->second;
  };
}

std::string Story::json() const { return transcript.json(fetch()); }
std::string Story::text(bool whole) const { return transcript.text(fetch(), whole); }

Task<Result<Story>> read_story(Control& control, RunId run, std::size_t most) {
  Story story;
  Allowance left{most};
  std::uint64_t from = 0;
  do {
    const ipc::EntryPage page = CO_TRY(co_await control.call("audit", ipc::ReadRun{run, from}));
    for (std::size_t i = 0; i < page.entries.size() && i < page.sequences.size(); ++i) {
      CO_TRY(left.take(page.entries[i].size()));
      audit::Entry entry = CO_TRY(audit::decode(page.entries[i]));
      entry.sequence = page.sequences[i];
      for (const audit::BodyRef& body : entry.bodies) {
        auto bytes = co_await read_body(&control, body, &left);
        if (!bytes && bytes.error() == Error::kTooLarge) co_return Failure(bytes.error());
        if (bytes) story.bodies.emplace(body.object, *std::move(bytes));
      }
      story.transcript.add(std::move(entry));
    }
    if (page.next_sequence <= from) break;
    from = page.next_sequence;
  } while (true);
  if (story.transcript.empty()) {
    co_return failure(Error::kNotFound, "nothing is on record of " + run.text());
  }
  co_return story;
}

}  // namespace gatehouse::control
