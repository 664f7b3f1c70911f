// SPDX-License-Identifier: Apache-2.0
// The directory that is adopted, reached by descriptors: below it no symbolic link is followed, so
// that nothing that lies there leads a read or a change elsewhere, also when root does it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/adopt/find.h"
#include "net/descriptor.h"

namespace gatehouse::cli::adopt {

inline constexpr std::size_t kFileMost = 2 * 1024 * 1024;  // bytes of a file that is changed
inline constexpr std::size_t kFilesMost = 256;             // that are read for keys

class Folder {
 public:
  // Errors: kNotFound; kInvalid when it is no directory.
  [[nodiscard]] static Result<Folder> open(const std::string& path);

  // Absolute, without links.
  [[nodiscard]] const std::string& path() const { return path_; }
  // Names of the regular files below that fit fnmatch(3)'s pattern, segment by segment, sorted.
  // Errors: kTooMany.
  [[nodiscard]] Result<std::vector<std::string>> matching(std::string_view pattern) const;
  // Nothing where there is none. Errors: kDenied when it is not the caller's to change; kInvalid
  // when it is no regular file or has another name; kTooLarge.
  [[nodiscard]] Result<std::optional<PrivateText>> read(const std::string& name) const;
  // Whether read() would take it, however long it is. Errors: its own; kNotFound.
  [[nodiscard]] Result<void> check(const std::string& name) const;
  // Puts `after` in the place of `before`, with the same mode and owner; durable when it returns,
  // and there is no moment at which the file is half of it. Errors: kConflict when the file is not
  // `before` any more.
  [[nodiscard]] Result<void> replace(const std::string& name, std::string_view before,
                                     std::string_view after) const;

 private:
  Folder(std::string path, net::Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  // Of the directory that holds `name`, and what is behind its last slash.
  [[nodiscard]] Result<std::pair<net::Descriptor, std::string>> parent_of(
      const std::string& name) const;
  [[nodiscard]] Result<net::Descriptor> open_checked(int parent, const std::string& leaf,
                                                     const std::string& name,
                                                     struct stat& about) const;

  std::string path_;
  net::Descriptor fd_;
};

// What else lies below the folder, and in the shell histories of its owner. Links are not followed.
struct Copies {
  struct Copy {
    std::string file;   // below the folder, or absolute
    std::size_t value;  // which
  };
  // Something of the shape of a provider's key that is none of the values.
  struct Other {
    std::string file;
    const Provider* provider;
    friend bool operator==(const Other&, const Other&) = default;
  };
  std::vector<Copy> found;    // files that hold one of the values as it is
  std::vector<Other> others;  // not of the files that were read for keys
  bool is_whole = true;  // false: there was more than is looked at, or a file could not be read
};
[[nodiscard]] Copies copies_of(const std::vector<const Secret*>& values,
                               const std::set<std::string>& read, const Folder& folder);

// A process other than this one that has a file below the folder open: "1234 (node)". "" for none
// that may be seen.
[[nodiscard]] std::string user_of(const Folder& folder);

}  // namespace gatehouse::cli::adopt
