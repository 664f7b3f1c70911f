// SPDX-License-Identifier: Apache-2.0
// `gatehouse upgrade --check`: what a start of this version would do to a data directory, and
// whether it should be done. It looks only.
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "backup/archive.h"
#include "base/encoding.h"
#include "base/time.h"
#include "cli/client.h"
#include "cli/survey.h"
#include "cli/verbs.h"
#include "ipc/supervisor.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
// The audit log makes its next segment while this one is written (audit::LogOptions).
constexpr std::uint64_t kLogBytes = 2ULL * 32 * 1024 * 1024;

struct BackupFound {
  std::int64_t made_unix_ms = 0;  // 0: none
  std::string file;               // "": one that is on record only
  std::string why;                // of one that was named and is not good
};

struct Space {
  std::uint64_t needed_bytes = 0;
  std::uint64_t free_bytes = 0;
};

struct Verdict {
  std::string data;
  std::string config;  // "" for none
  bool is_running = false;
  Survey survey;
  ConfigReport config_report;
  Space space;
  BackupFound backup;
  std::vector<std::string> reasons;  // why not
  std::vector<std::string> notes;
  [[nodiscard]] bool can_upgrade() const { return reasons.empty(); }
};

// Whether what it was before can be read no more by the gatehouse that wrote it. The house's key is
// made anew by an earlier one, and sessions are signed in again.
bool is_one_way(const Surveyed& store) {
  return store.standing == Standing::kMigrates && store.format.name != kHouseKeyFormat.name
         && store.format.name != kSessionsFormat.name;
}

// The newest in a directory, by its time.
std::string newest_backup(const std::string& named) {
  std::error_code ignored;
  if (!fs::is_directory(named, ignored)) return named;
  std::string newest;
  fs::file_time_type at{};
  for (const auto& entry : fs::directory_iterator(named, ignored)) {
    const auto changed = entry.last_write_time(ignored);
    if (entry.path().extension() != ".backup" || (!newest.empty() && changed <= at)) continue;
    newest = entry.path().string();
    at = changed;
  }
  return newest;
}

BackupFound backup_at(const std::string& named, const std::string& house) {
  BackupFound found;
  found.file = newest_backup(named);
  if (found.file.empty()) {
    found.why = fmt::format("there is no backup in {}", named);
    return found;
  }
  const auto archive = backup::Archive::open(found.file);
  if (!archive) {
    found.why = archive.error().message();
  } else if (archive->manifest().house != house) {
    found.why = fmt::format("{} is of another house", found.file);
  } else {
    found.made_unix_ms = archive->manifest().made_unix_ms;
  }
  return found;
}

Result<BackupFound> backup_of(const Options& options, const Verdict& verdict) {
  if (!options.file.empty()) return backup_at(options.file, verdict.survey.house);
  const std::int64_t now = WallTime::now().unix_millis();
  BackupFound found;
  found.made_unix_ms = TRY(backup_on_record(verdict.data, now - kDayMs));
  return found;
}

void judge_stores(Verdict& verdict) {
  for (const Surveyed& store : verdict.survey.stores) {
    if (store.standing < Standing::kNewer) continue;
    std::string why = printable(store.why);
    // Whose they are need not be who starts the house.
    const bool is_of_caller =
        store.format.name == kSessionsFormat.name || store.format.name == kAdoptedFormat.name;
    // A start makes these anew: wardens are not adopted then, and run tokens are of no use.
    const bool is_made_anew = store.standing == Standing::kDamaged
                              && (store.format.name == kHouseKeyFormat.name
                                  || store.format.name == kRunTokenKeysFormat.name);
    (is_of_caller || is_made_anew ? verdict.notes : verdict.reasons).push_back(std::move(why));
  }
}

void judge_backup(Verdict& verdict) {
  const std::int64_t age = WallTime::now().unix_millis() - verdict.backup.made_unix_ms;
  const bool is_fresh = verdict.backup.made_unix_ms > 0 && std::abs(age) < kDayMs;
  const auto& stores = verdict.survey.stores;
  const bool is_wanted = std::any_of(stores.begin(), stores.end(), is_one_way);
  if (is_fresh && verdict.backup.file.empty()) {
    verdict.notes.push_back(fmt::format(
        "a backup was made {}, by the log; whether that file is whole, `--backup FILE` looks",
        time_of(verdict.backup.made_unix_ms)));
  }
  if (is_fresh) return;
  std::string text = verdict.backup.why;
  if (text.empty() && verdict.backup.made_unix_ms > 0) {
    text = fmt::format("{} is older than a day", verdict.backup.file);
  }
  if (text.empty())
    text =
        "no backup within a day is on record (of a house that does not run, "
        "none is: say --backup FILE)";
  if (is_wanted) {
    verdict.reasons.push_back(text + "; after the migration only a backup leads back: make one "
                                     "with `gatehouse backup`");
  } else {
    verdict.notes.push_back(std::move(text));
  }
}

void judge_runs(Verdict& verdict) {
  if (verdict.is_running && verdict.survey.live_runs > 0) {
    verdict.notes.push_back(
        fmt::format("{} run(s) are under way; they end when the gatehouse is stopped, and are to "
                    "be started again after the upgrade",
                    verdict.survey.live_runs));
  }
}

Result<Space> space_of(const Verdict& verdict) {
  struct statvfs about{};
  if (statvfs(verdict.data.c_str(), &about) != 0) {
    return failure_from_errno(errno, "asking for the room at " + verdict.data);
  }
  Space space{kLogBytes, std::uint64_t{about.f_bavail} * about.f_frsize};
  for (const Surveyed& store : verdict.survey.stores) space.needed_bytes += store.writes_bytes;
  return space;
}

Result<Verdict> judged(const Options& options, const Wiring& wiring) {
  Verdict verdict;
  verdict.data = TRY(data_directory(options, wiring));
  const auto config = config_path(options);
  if (!config && !options.config.empty()) return Failure(config.error());
  if (config) {
    verdict.config = *config;
    verdict.config_report = TRY(wiring.check_config(*config));
    if (!verdict.config_report.problems.empty()) {
      verdict.reasons.push_back(
          fmt::format("{} is refused by this version; `gatehouse config check` says why", *config));
    }
  } else {
    verdict.notes.emplace_back("no config was found to check; name it with --config");
  }
  const bool is_valid = config && verdict.config_report.problems.empty();
  TRY(wiring.enter_house_of(verdict.data + "/audit"));
  verdict.survey = TRY(survey(verdict.data, is_valid ? verdict.config : "", wiring));
  verdict.is_running = Client::connect(verdict.data + "/run/supervisor.sock").has_value();
  verdict.space = TRY(space_of(verdict));
  verdict.backup = TRY(backup_of(options, verdict));
  judge_stores(verdict);
  if (verdict.space.free_bytes < verdict.space.needed_bytes) {
    verdict.reasons.push_back(fmt::format("{} has {} bytes free, and {} are needed", verdict.data,
                                          verdict.space.free_bytes, verdict.space.needed_bytes));
  }
  judge_backup(verdict);
  judge_runs(verdict);
  return verdict;
}

std::string versions_text(const Surveyed& store) {
  std::string out;
  for (const std::uint64_t version : store.versions) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", version);
  }
  return out.empty() ? "-" : out;
}

std::string detail_of(const Surveyed& store) {
  if (store.standing == Standing::kNewer || store.standing == Standing::kDamaged) {
    return printable(store.why);
  }
  if (store.standing != Standing::kMigrates) return "";
  return fmt::format("to {}, in about {} ms; {}", store.format.latest,
                     std::max<std::uint64_t>(store.takes_ms, 1),
                     is_one_way(store) ? "back only by a backup" : "an earlier one makes it anew");
}

std::string table_of(const Verdict& verdict) {
  Table stores({"file", "found", "standing", "what"});
  for (const Surveyed& store : verdict.survey.stores) {
    stores.add({std::string(store.format.file), versions_text(store),
                std::string(text(store.standing)), detail_of(store)});
  }
  std::string out = stores.text(Form::kTable);
  out += fmt::format("\nroom: {} bytes needed, {} free\n", verdict.space.needed_bytes,
                     verdict.space.free_bytes);
  for (const std::string& note : verdict.notes) out += "note: " + note + "\n";
  for (const std::string& reason : verdict.reasons) out += "no: " + reason + "\n";
  return out
         + (verdict.can_upgrade() ? "gatehouse " GATEHOUSE_VERSION " can be started on this\n"
                                  : "do not start gatehouse " GATEHOUSE_VERSION " on this yet\n");
}

void write_stores(wire::JsonWriter& writer, const Survey& survey) {
  writer.key("stores").begin_array();
  for (const Surveyed& store : survey.stores) {
    writer.begin_object().key("format").string(store.format.name);
    writer.key("file").string(store.format.file);
    writer.key("files").integer(static_cast<std::int64_t>(store.files));
    writer.key("found").begin_array();
    for (const std::uint64_t version : store.versions) {
      writer.integer(static_cast<std::int64_t>(version));
    }
    writer.end_array().key("latest").integer(static_cast<std::int64_t>(store.format.latest));
    writer.key("standing").string(text(store.standing));
    if (store.standing == Standing::kMigrates) {
      writer.key("takes_ms").integer(static_cast<std::int64_t>(store.takes_ms));
      writer.key("way_back").string(is_one_way(store) ? "backup" : "made anew");
    }
    if (!store.why.empty()) writer.key("why").string(printable(store.why));
    writer.end_object();
  }
  writer.end_array();
}

// All formats that this program has, whatever lies in a directory.
void write_formats(wire::JsonWriter& writer) {
  writer.key("formats").begin_array();
  for (const Format& format : formats()) {
    writer.begin_object().key("format").string(format.name).key("file").string(format.file);
    writer.key("earliest").integer(static_cast<std::int64_t>(format.earliest));
    writer.key("latest").integer(static_cast<std::int64_t>(format.latest)).end_object();
  }
  writer.end_array();
}

void write_texts(wire::JsonWriter& writer, const char* key, const std::vector<std::string>& all) {
  writer.key(key).begin_array();
  for (const std::string& each : all) writer.string(each);
  writer.end_array();
}

std::string json_of(const Verdict& verdict) {
  wire::JsonWriter writer;
  writer.begin_object().key("can_upgrade").boolean(verdict.can_upgrade());
  writer.key("version").string(GATEHOUSE_VERSION).key("data").string(verdict.data);
  write_texts(writer, "reasons", verdict.reasons);
  write_texts(writer, "notes", verdict.notes);
  write_stores(writer, verdict.survey);
  writer.key("config").begin_object().key("file").string(verdict.config);
  writer.key("problems").integer(static_cast<std::int64_t>(verdict.config_report.problems.size()));
  writer.end_object().key("running").boolean(verdict.is_running);
  writer.key("runs").begin_object().key("under_way");
  writer.integer(static_cast<std::int64_t>(verdict.is_running ? verdict.survey.live_runs : 0));
  writer.key("survive").boolean(false).end_object();
  writer.key("room").begin_object().key("needed_bytes");
  writer.integer(static_cast<std::int64_t>(verdict.space.needed_bytes)).key("free_bytes");
  writer.integer(static_cast<std::int64_t>(verdict.space.free_bytes)).end_object();
  writer.key("backup").begin_object().key("made").string(time_of(verdict.backup.made_unix_ms));
  writer.key("file").string(verdict.backup.file).end_object();
  write_formats(writer);
  writer.end_object();
  return std::move(writer).text() + "\n";
}

}  // namespace

Result<int> check_upgrade(const Options& options, const Wiring& wiring) {
  if (!options.only_check) {
    return failure(Error::kInvalid,
                   "gatehouse is upgraded by installing another version and starting it; "
                   "`gatehouse upgrade --check` of that one says whether it can be");
  }
  const Verdict verdict = TRY(judged(options, wiring));
  print(options.form == Form::kJson ? json_of(verdict) : table_of(verdict));
  return verdict.can_upgrade() ? 0 : row_of(Error::kUnsupported).exit_code;
}

}  // namespace gatehouse::cli
