// SPDX-License-Identifier: Apache-2.0
// Room for segments: files of zeros, made in parts ahead of the commit that needs one. Syncs of a
// file whose blocks are there need no metadata, which halves them (measured).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/file.h"

namespace gatehouse::audit {

class SegmentRoom {
 public:
  // Segments usually have so many bytes. `files` outlives this.
  SegmentRoom(net::FileSystem& files, std::uint64_t usual) : files_(files), usual_(usual) {}

  // The next segment's room is there.
  [[nodiscard]] bool is_ready() const { return spare_ != nullptr && made_ == usual_; }
  // Makes 1 MiB more of it, durable. Errors: those of the file system.
  [[nodiscard]] Result<void> grow();
  // The room of the next one is given up.
  void drop();
  // A file of that new name with so many bytes, uncached (net/file.h): what was made ahead, if it
  // has as many. Its name is durable once the directory is synced. Errors: those of the file
  // system.
  [[nodiscard]] Result<std::unique_ptr<net::File>> take(const std::string& name,
                                                        std::uint64_t bytes);

 private:
  net::FileSystem& files_;
  std::uint64_t usual_;
  std::unique_ptr<net::File> spare_;
  std::uint64_t made_ = 0;  // bytes of it
};

}  // namespace gatehouse::audit
