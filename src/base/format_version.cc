// SPDX-License-Identifier: Apache-2.0
#include "base/format_version.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gatehouse {
namespace {

constexpr std::array<Format, 11> kFormats = {kStateFormat,        kRecordFormat,   kRootKeyFormat,
                                             kRunTokenKeysFormat, kSegmentFormat,  kKillsFormat,
                                             kHouseKeyFormat,     kSessionsFormat, kAdoptedFormat,
                                             kBackupFormat,       kConfigFormat};

static_assert(std::all_of(kFormats.begin(), kFormats.end(), [](const Format& format) {
  return format.magic.empty()
         || static_cast<std::uint64_t>(format.magic.back() - '0') == format.latest;
}));

}  // namespace

std::span<const Format> formats() { return kFormats; }

Failure newer_format(const Format& format, std::uint64_t found) {
  return failure(Error::kUnsupported,
                 fmt::format("made by a newer gatehouse: {} is of version {}, and this gatehouse "
                             "reads up to {}; run that one, or restore a backup",
                             format.what, found, format.latest));
}

std::optional<std::uint64_t> version_said(std::string_view bytes, const Format& format) {
  const std::string_view stem = format.magic.substr(0, format.magic.size() - 1);
  if (bytes.size() < format.magic.size() || !bytes.starts_with(stem)) return std::nullopt;
  const char digit = bytes[stem.size()];
  if (digit < '1' || digit > '9') return std::nullopt;
  return static_cast<std::uint64_t>(digit - '0');
}

std::uint64_t later_version(std::string_view bytes, const Format& format) {
  const std::uint64_t said = version_said(bytes, format).value_or(0);
  return said > format.latest ? said : 0;
}

}  // namespace gatehouse
