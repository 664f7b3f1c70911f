// SPDX-License-Identifier: Apache-2.0
// The kill file: what is killed, durable before a kill is acknowledged, read at every start. A file
// that cannot be read means that everything is killed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "net/file.h"

namespace gatehouse::supervisor {

struct Killed {
  std::int64_t at_unix_ms = 0;
  std::optional<TraceId> trace;  // of a Run that was there when it was killed; so its tenant
  std::string tenant;
  std::string reason;
};

struct KillState {
  bool all = false;
  std::map<RunId, Killed> runs;
  [[nodiscard]] std::vector<RunId> ids() const;
};

class KillFile {
 public:
  // `files` is the directory that holds the file; it must outlive this.
  explicit KillFile(net::FileSystem& files) : files_(files) {}

  // No file: nothing is killed. Errors: kCorrupt says which line, kUnsupported for one of a newer
  // gatehouse; the caller must then kill everything.
  [[nodiscard]] Result<KillState> load();
  // Durable when it returns. What of a newer gatehouse was there is kept as kills.newer. On a disk
  // that is full it takes the place of a reserve, a file that is there for nothing else.
  [[nodiscard]] Result<void> save(const KillState& state);

 private:
  void keep_reserve();

  net::FileSystem& files_;
  std::string newer_;  // of a newer gatehouse, until it is kept
};

// The text form and back: what the fuzzer drives.
[[nodiscard]] std::string kill_file_text(const KillState& state);
[[nodiscard]] Result<KillState> parse_kill_file(std::string_view text);

}  // namespace gatehouse::supervisor
