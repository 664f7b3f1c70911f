// SPDX-License-Identifier: Apache-2.0
// Which files of which agent are read, and by what.
#include <algorithm>
#include <array>

#include "cli/adopt/find.h"
#include "cli/dotenv.h"
#include "cli/json5_scan.h"

namespace gatehouse::cli::adopt {
namespace {

// OpenClaw 2026.9: its docs/help/faq/where-things-live-on-disk.md. What is pasted at its prompts is
// in SQLite files; of its config it keeps the last states, and of older files what it took over.
constexpr std::array kOpenclaw = {
    FileRow{"openclaw.json", read_openclaw_config},
    FileRow{"openclaw.json.bak*", read_openclaw_config, true},
    FileRow{".env", read_dotenv},
    FileRow{"workspace/.env", read_dotenv},
    FileRow{"state/openclaw.sqlite", read_openclaw_profiles, false, true},
    FileRow{"agents/*/agent/openclaw-agent.sqlite", read_openclaw_profiles, false, true},
    FileRow{"agents/*/agent/auth-profiles.json", read_openclaw_profiles},
    FileRow{"agents/*/agent/auth-profiles.json.*", read_openclaw_profiles, true},
};
constexpr std::array kDotenv = {
    FileRow{".env", read_dotenv},
    FileRow{".env.local", read_dotenv},
    FileRow{".env.development", read_dotenv},
    FileRow{".env.production", read_dotenv},
};
// Its other files hold no keys of its own. With CLAUDE_CONFIG_DIR .claude.json is here, else it is
// beside the directory.
constexpr std::array kClaude = {
    FileRow{"settings.json", read_claude_settings},
    FileRow{"settings.local.json", read_claude_settings},
    FileRow{".claude.json", read_claude_settings},
    FileRow{".credentials.json", read_claude_settings},
    FileRow{"backups/.claude.json.*", read_claude_settings, true},
};
constexpr std::array kCodex = {
    FileRow{"auth.json", read_codex_auth},
    FileRow{"config.toml", read_codex_config},
    FileRow{".env", read_dotenv},
};
constexpr std::array kLayouts = {
    Layout{"openclaw", "openclaw.json", "", kOpenclaw},
    Layout{"claude", "", ".claude", kClaude},
    Layout{"codex", "", ".codex", kCodex},
    Layout{"env", ".env", "", kDotenv},
};

}  // namespace

std::span<const Layout> layouts() { return kLayouts; }

Target target_of(const Provider* provider) {
  if (provider == nullptr) return {};
  return {std::string(provider->name), std::string(provider->origin), std::string(provider->kind),
          std::string(provider->header), std::string(provider->prefix)};
}

Finding finding_at(const SourceFile& file, std::string_view where, std::size_t begin,
                   std::string_view value) {
  const TextPlace place = place_in(file.text.view(), begin);
  Finding finding;
  finding.file = file.name;
  finding.where = where;
  finding.line = place.line;
  finding.column = place.column;
  finding.value = Secret(value);
  finding.splice.begin = begin;
  finding.splice.end = begin + value.size();
  return finding;
}

void add_by_shape(const SourceFile& file, std::vector<Finding>& found) {
  const std::string_view text = file.text.view();
  const std::size_t before = found.size();
  std::size_t at = 0;
  while (at < text.size() && found.size() <= kFindingsMost) {
    std::size_t end = at;
    while (end < text.size() && is_key_word(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    if (const Provider* provider = provider_of_shape(word)) {
      const bool is_known =
          std::any_of(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(before),
                      [&](const Finding& f) {
                        return f.file == file.name && f.splice.begin <= at && end <= f.splice.end;
                      });
      if (!is_known) {
        Finding finding = finding_at(file, "", at, word);
        finding.provider = provider;
        finding.left_because = "it is part of a comment or of a longer text; remove it by hand";
        found.push_back(std::move(finding));
      }
    }
    at = std::max(end, at + 1);
  }
}

Result<std::vector<std::string>> read_dotenv(const SourceFile& file, std::vector<Finding>& found) {
  const std::string_view text = file.text.view();
  const std::vector<DotenvEntry> entries = TRY(scan_dotenv(text));
  for (const DotenvEntry& entry : entries) {
    if (found.size() > kFindingsMost) break;
    const Provider* by_name = provider_of_variable(entry.name);
    const Provider* by_shape = provider_of_shape(entry.value);
    const bool is_secret = by_name != nullptr || by_shape != nullptr || names_a_secret(entry.name);
    if (!is_secret || !may_be_key(entry.value)) continue;
    const std::size_t quote = entry.quote == '\0' ? 0 : 1;
    Finding finding = finding_at(file, entry.name, entry.begin + quote, entry.value);
    finding.provider = by_shape != nullptr ? by_shape : by_name;
    finding.target = target_of(finding.provider);
    finding.variable = entry.name;
    finding.splice = {entry.begin, entry.end, "${", "}"};
    if (finding.provider == nullptr) {
      finding.left_because = "it is not known where it is used";
    } else {
      finding.left_because = finding.provider->left_because;
    }
    found.push_back(std::move(finding));
  }
  add_by_shape(file, found);
  return std::vector<std::string>();
}

}  // namespace gatehouse::cli::adopt
