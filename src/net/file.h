// SPDX-License-Identifier: Apache-2.0
// Files, behind the seam: the real ones block (roles that use them have a thread for it), the
// simulated ones lose what was not synced when the simulation pulls the plug.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::net {

// One open file. Offsets and sizes are in bytes.
class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes at `offset`; fewer only at the end of the file.
  [[nodiscard]] virtual Result<std::string> read_at(std::uint64_t offset, std::size_t size) = 0;
  // Writes all or fails. Errors: kExhausted (no space), kCorrupt (I/O error).
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::string_view bytes) = 0;
  // fdatasync(2). After an error what was not synced is lost and the file must not be trusted:
  // never retry.
  [[nodiscard]] virtual Result<void> sync() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() = 0;
  [[nodiscard]] virtual Result<void> truncate(std::uint64_t size) = 0;
};

enum class OpenMode : std::uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // made if absent, mode 0600
  kCreateNew,  // must not exist, mode 0600
};

// A directory tree with one root; paths are relative to it and may not leave it ("..", leading "/"
// and NUL are refused with kInvalid).
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(std::string_view path, OpenMode) = 0;
  // The same of a file that only this process writes, piece behind piece, through this one alone:
  // its writes go past the kernel's page cache where the file system lets them, which spares the
  // kernel a copy and the search for what is to be written back. They are made of whole blocks
  // (kBlock): what a write leaves of its last one may be zeroed, and the file is as long as that.
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open_uncached(std::string_view path,
                                                                    OpenMode mode) = 0;
  static constexpr std::size_t kBlock = 4096;
  // Names in a directory, sorted; kNotFound if there is none.
  [[nodiscard]] virtual Result<std::vector<std::string>> list(std::string_view directory) = 0;
  [[nodiscard]] virtual Result<void> make_directory(
      std::string_view path) = 0;  // mode 0700; fine if it exists
  [[nodiscard]] virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  [[nodiscard]] virtual Result<void> remove(std::string_view path) = 0;
  // Makes creations, renames and removals in this directory durable.
  [[nodiscard]] virtual Result<void> sync_directory(std::string_view directory) = 0;
};

// The real tree below `root`, which must exist.
[[nodiscard]] Result<std::unique_ptr<FileSystem>> open_file_system(std::string root);

// Writes a whole small file so that a crash leaves the old or the new one: temporary file, sync,
// rename, sync.
[[nodiscard]] Result<void> replace_file(FileSystem& files, std::string_view path,
                                        std::string_view bytes);
// Reads a whole file of at most `most` bytes. Errors: kTooLarge.
[[nodiscard]] Result<std::string> read_file(FileSystem& files, std::string_view path,
                                            std::uint64_t most);

}  // namespace gatehouse::net
