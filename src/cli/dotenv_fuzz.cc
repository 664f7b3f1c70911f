// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cli/dotenv.h"

// Entries lie in the text and in order; one whose value is replaced by a reference is read back so,
// and all before it are as they were.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::cli;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto entries = scan_dotenv(text);
  if (!entries) return 0;
  std::size_t before = 0;
  for (const DotenvEntry& entry : *entries) {
    CHECK(!entry.name.empty() && before <= entry.begin && entry.begin <= entry.end);
    CHECK(entry.end <= text.size());
    before = entry.end;
  }
  if (entries->empty() || size > 4096) return 0;
  const DotenvEntry& last = entries->back();
  std::string spliced(text.substr(0, last.begin));
  spliced += "${NAME}";
  spliced += text.substr(last.end);
  const auto again = scan_dotenv(spliced);
  CHECK(again && again->size() >= entries->size());
  for (std::size_t i = 0; i + 1 < entries->size(); ++i) {
    CHECK((*again)[i].name == (*entries)[i].name && (*again)[i].value == (*entries)[i].value);
  }
  CHECK((*again)[entries->size() - 1].value.starts_with("${NAME}"));
  return 0;
}
