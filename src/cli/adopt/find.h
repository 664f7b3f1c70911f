// SPDX-License-Identifier: Apache-2.0
// Keys found in an agent's files: where each lies, whose it is, and what would stand in its place.
// Each agent's layout is a table of files with a reader for each (layouts.cc); a reader is pure and
// knows nothing of the house.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/adopt/providers.h"

namespace gatehouse::cli::adopt {

inline constexpr std::size_t kFindingsMost = 500;  // of one adoption

// Text that holds keys: wiped when it goes.
class PrivateText {
 public:
  PrivateText() = default;
  explicit PrivateText(std::string text) { text_.swap(text); }
  PrivateText(PrivateText&& other) noexcept { text_.swap(other.text_); }
  PrivateText& operator=(PrivateText&& other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  PrivateText(const PrivateText&) = delete;
  PrivateText& operator=(const PrivateText&) = delete;
  ~PrivateText() { wipe({text_.data(), text_.size()}); }
  [[nodiscard]] std::string_view view() const { return text_; }

 private:
  std::string text_;
};

struct SourceFile {
  std::string name;  // below the directory that is adopted
  PrivateText text;
};

// Where the bytes [begin, end) of a file give way to `head`, the variable's name and `tail`.
struct Splice {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string head;
  std::string tail;
};

// What a service must be like to take a key to where the agent uses it.
struct Target {
  std::string name;    // a proposal
  std::string origin;  // "" when it is not known
  std::string kind;
  std::string header;
  std::string prefix;
};

struct Finding {
  std::string file;
  std::string where;  // "models.providers.openai.apiKey", or a variable's name
  std::size_t line = 0;
  std::size_t column = 0;
  const Provider* provider = nullptr;  // null: not known whose it is
  Target target;
  Secret value;
  Splice splice;
  std::string variable;      // by which the agent must have it; "": any will do
  std::string left_because;  // "": it can be moved
};

// Appends what the file holds; returns the names of further files that it includes. Stops where
// there are more than kFindingsMost, which is the caller's to tell.
// Errors: kInvalid with line and column, kTooLarge; they quote nothing of the file.
using Reader = Result<std::vector<std::string>> (*)(const SourceFile& file,
                                                    std::vector<Finding>& found);

[[nodiscard]] Result<std::vector<std::string>> read_dotenv(const SourceFile& file,
                                                           std::vector<Finding>& found);
[[nodiscard]] Result<std::vector<std::string>> read_openclaw_config(const SourceFile& file,
                                                                    std::vector<Finding>& found);
[[nodiscard]] Result<std::vector<std::string>> read_openclaw_profiles(const SourceFile& file,
                                                                      std::vector<Finding>& found);

[[nodiscard]] Result<std::vector<std::string>> read_claude_settings(const SourceFile& file,
                                                                    std::vector<Finding>& found);
[[nodiscard]] Result<std::vector<std::string>> read_codex_auth(const SourceFile& file,
                                                               std::vector<Finding>& found);
[[nodiscard]] Result<std::vector<std::string>> read_codex_config(const SourceFile& file,
                                                                 std::vector<Finding>& found);

struct FileRow {
  std::string_view pattern;  // fnmatch(3), segment by segment
  Reader read = nullptr;
  bool is_backup = false;    // one that cannot be read is told of, and holds nothing up
  bool is_database = false;  // the reader is for its rows (store.h)
};
struct Layout {
  std::string_view agent;
  std::string_view marker;  // the file by which the directory is known, or
  std::string_view folder;  // its name
  std::span<const FileRow> files;
};
[[nodiscard]] std::span<const Layout> layouts();

// A finding at these bytes of the file.
[[nodiscard]] Finding finding_at(const SourceFile& file, std::string_view where, std::size_t begin,
                                 std::string_view value);
// Where the provider's keys are used; nothing for none.
[[nodiscard]] Target target_of(const Provider* provider);
// Keys by their shape alone, in whatever no other finding covers: comments, names.
void add_by_shape(const SourceFile& file, std::vector<Finding>& found);

}  // namespace gatehouse::cli::adopt
