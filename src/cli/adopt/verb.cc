// SPDX-License-Identifier: Apache-2.0
// `gatehouse adopt`.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/time.h"
#include "cli/adopt/folder.h"
#include "cli/adopt/house.h"
#include "cli/adopt/plan.h"
#include "cli/adopt/record.h"
#include "cli/adopt/report.h"
#include "cli/adopt/store.h"
#include "cli/sealed.h"
#include "cli/state_folder.h"
#include "cli/verbs.h"
#include "ipc/cli_control.h"

namespace gatehouse::cli {
namespace adopt {
namespace {

// What is adopted: a directory by its layout, or one file of it.
struct Place {
  Folder folder;
  std::string layout;
  std::vector<FileRow> rows;
  std::string file;  // what the one row's pattern views, if it is one file
};

Reader reader_for(const std::string& name) {
  if (name == "openclaw.json") return read_openclaw_config;
  if (name == ".claude.json") return read_claude_settings;
  return name.starts_with(".env") || name.ends_with(".env") ? read_dotenv : nullptr;
}

Result<Folder> folder_of(const std::string& path) {
  struct stat about{};
  if (stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
    const std::size_t slash = path.rfind('/');
    return Folder::open(slash == std::string::npos ? "." : path.substr(0, slash + 1));
  }
  return Folder::open(path);
}

bool is_named(std::string_view path, std::string_view folder) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1) == folder;  // npos + 1 is 0
}

Result<Place> place_of(const std::string& path) {
  Place place{TRY(folder_of(path)), "", {}, ""};
  struct stat about{};
  if (stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
    place.file = path.substr(path.rfind('/') + 1);
    const Reader reader = reader_for(place.file);
    if (reader == nullptr) {
      return failure(Error::kUnsupported, path + " is none of the files that are understood: an "
                                                 "agent's directory (~/.openclaw, ~/.claude, "
                                                 "~/.codex), openclaw.json, .claude.json or a "
                                                 ".env");
    }
    place.layout = reader == read_dotenv            ? "env"
                   : reader == read_claude_settings ? "claude"
                                                    : "openclaw";
    return place;
  }
  for (const Layout& layout : layouts()) {
    const bool is_it = layout.folder.empty() ? !TRY(place.folder.matching(layout.marker)).empty()
                                             : is_named(path, layout.folder)
                                                   || is_named(place.folder.path(), layout.folder);
    if (!is_it) continue;
    place.layout = layout.agent;
    place.rows.assign(layout.files.begin(), layout.files.end());
    return place;
  }
  return failure(Error::kNotFound, path + " holds neither openclaw.json nor .env, and is not "
                                          "called .claude or .codex; nothing else is "
                                          "understood yet");
}

struct Reading {
  std::vector<SourceFile> files;
  std::vector<Finding> found;
  std::vector<std::string> notes;
};

Result<void> read_one(const Folder& folder, const std::string& name, const FileRow& row,
                      Reading& reading, std::vector<std::string>& next) {
  const auto known = [&](const SourceFile& file) { return file.name == name; };
  if (std::ranges::any_of(reading.files, known)) return {};
  if (reading.files.size() == kFilesMost) {
    return failure(Error::kTooMany, fmt::format("{} has more than {} files with settings",
                                                folder.path(), kFilesMost));
  }
  auto text = TRY(read_source(folder, name));
  if (!text) return {};
  SourceFile file{name, std::move(*text)};
  auto included = row.read(file, reading.found);
  if (!included) {
    const Error error = included.error().in(folder.path() + "/" + name);
    if (!row.is_backup) return Failure(error);
    reading.notes.push_back(error.message() + "; this backup is left as it is");
    return {};
  }
  if (reading.found.size() > kFindingsMost) {
    return failure(Error::kTooMany, fmt::format("more than {} keys are found, the last in {}/{}",
                                                kFindingsMost, folder.path(), name));
  }
  const std::size_t slash = name.rfind('/');
  for (const std::string& more : *included) {
    if (more.starts_with('/') || more.contains("..")) {
      reading.notes.push_back(
          fmt::format("{} includes {}, which is not looked at; adopt it by itself", name, more));
      continue;
    }
    next.push_back(slash == std::string::npos ? more : name.substr(0, slash + 1) + more);
  }
  reading.files.push_back(std::move(file));
  return {};
}

Result<std::vector<std::string>> names_for(const Folder& folder, const FileRow& row,
                                           std::vector<std::string>& notes) {
  std::vector<std::string> names = TRY(folder.matching(row.pattern));
  if (!row.is_database) return names;
  std::vector<std::string> rows;
  for (const std::string& database : names) {
    auto in = rows_of(folder, database);
    if (!in && in.error() == Error::kCorrupt) {
      notes.push_back(in.error().message() + "; it is left as it is");
      continue;
    }
    for (std::string& name : TRY(std::move(in))) rows.push_back(std::move(name));
  }
  return rows;
}

Result<Reading> read_all(const Place& place) {
  Reading reading;
  std::vector<FileRow> rows = place.rows;
  if (!place.file.empty()) rows.push_back({place.file, reader_for(place.file)});
  for (const FileRow& row : rows) {
    std::vector<std::string> names = TRY(names_for(place.folder, row, reading.notes));
    // Grows while it is gone through: a file may include others.
    for (std::size_t i = 0; i < names.size(); ++i) {
      TRY(read_one(place.folder, std::string(names[i]), row, reading, names));
    }
  }
  return reading;
}

// Claude Code keeps one file outside of its directory.
void add_note_of_claude(const Place& place, std::vector<std::string>& notes) {
  const std::string beside = place.folder.path() + "/../.claude.json";
  if (place.layout != "claude" || !place.file.empty() || access(beside.c_str(), F_OK) != 0) return;
  notes.push_back("the .claude.json beside it may hold keys too; adopt it by itself");
}

Result<void> nobody_uses(const Folder& folder) {
  const std::string user = user_of(folder);
  if (user.empty()) return {};
  return failure(Error::kConflict,
                 fmt::format("process {} has files of {} open and could write the keys back; stop "
                             "it first",
                             user, folder.path()));
}

// One adoption at a time.
Result<net::Descriptor> lock() {
  const std::string place = TRY(state_folder()) + "/adopted";
  TRY(make_folders(place));
  net::Descriptor fd(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return failure_from_errno(errno, "opening " + place);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure(Error::kConflict, "another `gatehouse adopt` is under way; wait for its end");
  }
  return fd;
}

class RealSteps : public Steps {
 public:
  RealSteps(Client& client, const Folder& folder, std::string record_file)
      : client_(client), folder_(folder), record_file_(std::move(record_file)) {}

  Result<void> remember(const Record& record) override {
    return store_record(record_file_, record);
  }
  Result<void> store(const KeyToStore& key) override {
    std::string sealed = TRY(sealed_for_vault(client_, *key.value));
    TRY(client_.call(ipc::PutSealed{key.where.tenant, key.where.user, key.where.service,
                                    ipc::CredentialKind::kStatic, std::move(sealed)}));
    ++stored_;
    return {};
  }
  Result<void> change(const FileToChange& file) override {
    TRY(replace_source(folder_, file.name, file.before->view(), file.after.view()));
    ++changed_;
    return {};
  }
  // Says how far it came; where nothing happened, nothing is kept.
  [[nodiscard]] Error told(const Error& error) const {
    if (stored_ == 0) {
      static_cast<void>(remove_record(record_file_));
      return error;
    }
    return {error.code(),
            fmt::format("{}. {} keys are in the vault and {} files are changed; the same command "
                        "goes on from there, --undo goes back",
                        error.message(), stored_, changed_)};
  }

 private:
  std::size_t stored_ = 0;
  std::size_t changed_ = 0;
  Client& client_;
  const Folder& folder_;
  std::string record_file_;
};

Copies copies_after(const Folder& folder, const Reading& reading, const Plan& plan, bool is_dry) {
  const std::vector<Finding>& found = reading.found;
  std::set<std::string> read;
  for (const SourceFile& file : reading.files) read.insert(file.name);
  std::vector<const Secret*> values;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (plan.decisions[i].outcome != Outcome::kMoved) continue;
    const bool is_there =
        std::ranges::any_of(values, [&](const Secret* value) { return *value == found[i].value; });
    if (!is_there) values.push_back(&found[i].value);
  }
  Copies copies = copies_of(values, read, folder);
  // Nothing was moved, and where it lies is in the list.
  if (is_dry)
    std::erase_if(copies.found, [&](const auto& copy) { return read.contains(copy.file); });
  return copies;
}

struct House {
  Api api;
  Client client;
  HouseFacts facts;
};

Result<House> house_of(const Options& options, const Wiring& wiring) {
  Api api = TRY(Api::open(options, wiring));
  Client client = TRY(Client::connect(TRY(data_directory(options, wiring)) + "/run/control.sock"));
  HouseFacts facts = TRY(facts_of(api, client, options));
  return House{std::move(api), std::move(client), std::move(facts)};
}

Result<std::vector<StoredKey>> keys_put_before(const std::string& path) {
  std::vector<StoredKey> keys;
  for (const std::string& file : TRY(record_files(path))) {
    Record record = TRY(load_record(file));
    for (StoredKey& key : record.keys) keys.push_back(std::move(key));
  }
  return keys;
}

Result<void> do_it(House& house, const Place& place, const Reading& reading, const Plan& plan,
                   Report& report) {
  for (const NewService& one : plan.new_services) {
    if (report.creates) TRY(create_service(house.api, house.facts, one.service, one.target));
  }
  Adoption adoption = adoption_of(reading.files, reading.found, plan, house.facts.tenant);
  if (adoption.files.empty()) return {};
  adoption.record.path = place.folder.path();
  adoption.record.agent = place.layout;
  adoption.record.made = WallTime::now().text();
  report.record = TRY(next_record_file(place.folder.path()));
  RealSteps steps(house.client, place.folder, report.record);
  const Result<void> done = carry_out(adoption, steps);
  return done ? done : Failure(steps.told(done.error()));
}

Result<int> adopt(const Options& options, const Wiring& wiring) {
  const Place place = TRY(place_of(options.directory));
  net::Descriptor alone;
  if (!options.dry_run) {
    alone = TRY(lock());
    TRY(nobody_uses(place.folder));
  }
  Reading reading = TRY(read_all(place));
  Report report;
  report.path = options.directory;
  report.layout = place.layout;
  report.agent = options.agent;
  report.is_dry = options.dry_run;
  report.creates = options.create;
  report.notes = std::move(reading.notes);
  add_note_of_claude(place, report.notes);
  auto house = house_of(options, wiring);
  if (!house && !options.dry_run) return Failure(house.error());
  if (!house) {
    report.creates = true;
    report.notes.push_back("no house was asked (" + house.error().message() + ")");
  }
  const HouseFacts facts = house ? house->facts : HouseFacts();
  const Plan plan = plan_of(reading.found, facts, {options.user, report.creates, options.replace},
                            TRY(keys_put_before(place.folder.path())));
  report.found = &reading.found;
  report.plan = &plan;
  report.facts = &facts;
  if (!options.dry_run) TRY(do_it(*house, place, reading, plan, report));
  report.copies = copies_after(place.folder, reading, plan, options.dry_run);
  print(text_of(report, options.form));
  return 0;
}

// All of it is worked out before anything is changed.
Result<std::vector<FileToChange>> way_back(const Folder& folder, const Record& record,
                                           std::vector<PrivateText>& now) {
  std::vector<FileToChange> changes;
  now.reserve(record.files.size());  // pointed to
  for (const ChangedFile& file : record.files) {
    auto text = TRY(read_source(folder, file.name));
    if (!text) {
      return failure(Error::kConflict,
                     folder.path() + "/" + file.name + " is gone, so nothing is put back there");
    }
    if (text->view() == file.before.view()) continue;
    auto back = undone(file, text->view());
    if (!back) {
      return failure(
          Error::kConflict,
          fmt::format("{}. Nothing is put back; what stood there is, as base64, in the record",
                      back.error().message()));
    }
    now.push_back(std::move(*text));
    changes.push_back({file.name, &now.back(), std::move(*back)});
  }
  return changes;
}

Result<int> undo(const Options& options) {
  const Folder folder = TRY(folder_of(options.directory));
  const net::Descriptor alone = TRY(lock());
  std::vector<std::string> records = TRY(record_files(folder.path()));
  if (records.empty()) {
    return failure(
        Error::kNotFound,
        fmt::format("{} was not adopted by you, or that is undone or forgotten", folder.path()));
  }
  TRY(nobody_uses(folder));
  std::vector<std::string> restored;
  std::string services;
  std::ranges::reverse(records);  // the newest first
  for (const std::string& file : records) {
    const Record record = TRY(load_record(file));
    std::vector<PrivateText> now;
    auto changes = way_back(folder, record, now);
    if (!changes) return Failure(changes.error().in(file));
    for (const FileToChange& change : *changes) {
      TRY(replace_source(folder, change.name, change.before->view(), change.after.view()));
      restored.push_back(change.name);
    }
    for (const StoredKey& key : record.keys) {
      services += fmt::format("  gatehouse connect {}{} --remove\n", key.service,
                              key.user.empty() ? "" : " --user " + key.user);
    }
    TRY(remove_record(file));
  }
  std::string said =
      fmt::format("{} files of {} hold their keys again", restored.size(), folder.path());
  if (!services.empty()) said += "; the vault still has them too, until\n" + services;
  while (said.ends_with('\n')) said.pop_back();
  print(told(options.form, said,
             {{"path", folder.path()}, {"restored", std::uint64_t{restored.size()}}}));
  return 0;
}

Result<int> forget(const Options& options) {
  const Folder folder = TRY(folder_of(options.directory));
  const net::Descriptor alone = TRY(lock());
  const std::vector<std::string> records = TRY(record_files(folder.path()));
  for (const std::string& file : records) TRY(remove_record(file));
  print(told(options.form,
             fmt::format("{} records of {} are removed; its keys are in the vault alone, and there "
                         "is no undo any more",
                         records.size(), folder.path()),
             {{"path", folder.path()}, {"forgotten", std::uint64_t{records.size()}}}));
  return 0;
}

}  // namespace
}  // namespace adopt

Result<int> adopt_keys(const Options& options, const Wiring& wiring) {
  if (options.undo + options.forget + options.dry_run > 1) {
    return failure(Error::kInvalid, "--undo, --forget and --dry-run exclude each other");
  }
  if (options.undo) return adopt::undo(options);
  if (options.forget) return adopt::forget(options);
  return adopt::adopt(options, wiring);
}

}  // namespace gatehouse::cli
