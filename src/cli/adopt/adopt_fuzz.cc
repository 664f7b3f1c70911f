// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <iterator>

#include "base/check.h"
#include "cli/adopt/plan.h"

// The first byte chooses the reader. What it finds lies in the text, one beside the other; with all
// of it moved there is nothing more to move, and undo gives every byte back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::cli::adopt;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr Reader kReaders[] = {read_openclaw_config, read_openclaw_profiles, read_dotenv,
                                 read_claude_settings, read_codex_auth,        read_codex_config};
  const Reader read = kReaders[data[0] % std::size(kReaders)];
  const SourceFile file{"f", PrivateText(text)};
  std::vector<Finding> found;
  if (!read(file, found)) return 0;
  std::vector<NamedSplice> splices;
  for (const Finding& finding : found) {
    CHECK(finding.splice.begin <= finding.splice.end && finding.splice.end <= text.size());
    if (!finding.left_because.empty()) continue;
    CHECK(!finding.target.origin.empty() && !finding.target.header.empty());
    splices.push_back({&finding.splice, finding.variable.empty() ? "NAME" : finding.variable});
  }
  Spliced made = spliced(text, std::move(splices));
  ChangedFile change;
  change.before = PrivateText(text);
  change.edits = std::move(made.edits);
  const auto back = undone(change, made.after.view());  // without its digest: by the edits
  CHECK(back && back->view() == text);
  const SourceFile after{"f", PrivateText(std::string(made.after.view()))};
  std::vector<Finding> left;
  CHECK(read(after, left));
  for (const Finding& finding : left) CHECK(!finding.left_because.empty());
  return 0;
}
