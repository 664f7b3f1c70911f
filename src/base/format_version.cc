// SPDX-License-Identifier: Apache-2.0
#include "base/format_version.h"

#include <fmt/format.h>

namespace gatehouse {

Failure newer_format(std::string_view what, std::uint64_t found, std::uint64_t known) {
  return failure(Error::kUnsupported,
                 fmt::format("made by a newer gatehouse: {} is of version {}, and this gatehouse "
                             "reads up to {}; run that one, or restore a backup",
                             what, found, known));
}

std::uint64_t later_version(std::string_view bytes, std::string_view magic) {
  const std::string_view stem = magic.substr(0, magic.size() - 1);
  if (bytes.size() < magic.size() || !bytes.starts_with(stem)) return 0;
  const char digit = bytes[stem.size()];
  const bool is_later = digit > magic.back() && digit <= '9';
  return is_later ? static_cast<std::uint64_t>(digit - '0') : 0;
}

}  // namespace gatehouse
