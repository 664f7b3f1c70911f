// SPDX-License-Identifier: Apache-2.0
// Versions of what lies on disk. Every file that is written to be read again is a row of
// `formats()`; docs/formats/README.md is that table for people. A file of a later version is
// refused in the same words everywhere, and left as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace gatehouse {

struct Format {
  std::string_view name;   // for programs
  std::string_view what;   // in a sentence
  std::string_view file;   // below the data directory, or where else it lies
  std::string_view magic;  // how it begins; the last character is `latest`. "": it is no such file
  std::uint64_t earliest;  // that is read; 0 is of before there was a version in it
  std::uint64_t latest;    // that is written
};

inline constexpr Format kStateFormat{"state-store", "the state store", "state/state.db", "", 1, 6};
inline constexpr Format kRecordFormat{
    "vault-record", "the sealed record", "vault/*.sealed", "GHVAULT1", 1, 1};
inline constexpr Format kRootKeyFormat{
    "root-key", "the vault's root key", "vault/root.key", "GHROOTK1", 0, 1};
inline constexpr Format kRunTokenKeysFormat{
    "run-token-keys", "the keys of run tokens", "state/run-token-keys", "GHRUNTK1", 1, 1};
inline constexpr Format kSegmentFormat{
    "audit-segment", "the audit segment", "audit/*.seg", "GHAUDIT2", 1, 2};
inline constexpr Format kKillsFormat{
    "kill-file", "the kill file", "run/kills", "gatehouse-kills 1", 1, 1};
inline constexpr Format kHouseKeyFormat{
    "house-key", "the house's key", "run/house-key", "GHHOUSE1", 0, 1};
inline constexpr Format kSessionsFormat{
    "sessions", "the file of sessions", "$XDG_STATE_HOME/gatehouse/sessions.json", "", 0, 1};
inline constexpr Format kAdoptedFormat{
    "adopted", "the record of an adoption", "$XDG_STATE_HOME/gatehouse/adopted/*.json", "", 1, 1};
inline constexpr Format kBackupFormat{"backup", "the backup", "FILE.backup", "", 1, 1};
inline constexpr Format kConfigFormat{"config", "the config", "gatehouse.yaml", "", 1, 1};

[[nodiscard]] std::span<const Format> formats();

// The refusal (kUnsupported) of a file of that format whose version is `found`, a later one.
[[nodiscard]] Failure newer_format(const Format& format, std::uint64_t found);

// The version that a file says by its magic; none when it does not begin as one of that format.
[[nodiscard]] std::optional<std::uint64_t> version_said(std::string_view bytes,
                                                        const Format& format);
// The same if it is later than `format.latest`; else 0.
[[nodiscard]] std::uint64_t later_version(std::string_view bytes, const Format& format);

}  // namespace gatehouse
