// SPDX-License-Identifier: Apache-2.0
#include "cli/survey.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "audit/entry.h"
#include "audit/segment.h"
#include "base/encoding.h"
#include "base/key_file.h"
#include "cli/adopt/record.h"
#include "cli/session.h"
#include "net/file.h"

namespace gatehouse::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRecordMost = 256 * 1024;       // bytes, as the vault has it
constexpr std::uint64_t kKillsMost = 64 * 1024 * 1024;  // bytes, as the supervisor has it
constexpr std::uint64_t kStateMost = 4ULL << 30;        // bytes
constexpr std::uint64_t kSegmentMost = 1ULL << 32;      // bytes
constexpr int kTriesMost = 5;                           // to copy a state that is written to
constexpr std::size_t kWalHeaderSize = 32;              // of SQLite's write-ahead log
constexpr std::string_view kWal = "state.db-wal";

Failure unreadable(const Error& why) {
  return failure(Error::kDenied,
                 fmt::format("uid {} cannot read all of the data directory ({}); ask as root, or "
                             "as the user whose house it is",
                             geteuid(), why.message()));
}

class Surveyor {
 public:
  Surveyor(const std::string& data, const std::string& config, const Wiring& wiring)
      : data_(data), config_(config), wiring_(wiring) {}

  Result<Survey> run() {
    files_ = TRY(open_directory("."));
    if (!files_) return failure(Error::kNotFound, "there is no data directory at " + data_);
    TRY(state());
    TRY(root_key());
    TRY(records());
    TRY(segments());
    TRY(kills());
    TRY(house_key());
    TRY(run_token_keys());
    sessions();
    adopted();
    return std::move(survey_);
  }

 private:
  using Version = Result<std::uint64_t>;

  // Null where there is none.
  Result<std::unique_ptr<net::FileSystem>> open_directory(const std::string& name) {
    auto opened = net::open_file_system(data_ + "/" + name);
    if (!opened && opened.error() == Error::kDenied) return unreadable(opened.error());
    if (!opened) return std::unique_ptr<net::FileSystem>();
    return std::move(*opened);
  }
  Result<std::vector<std::string>> names(const std::string& directory, std::string_view ending) {
    auto listed = files_->list(directory);
    if (!listed && listed.error() == Error::kDenied) return unreadable(listed.error());
    std::vector<std::string> all = std::move(listed).value_or(std::vector<std::string>());
    std::erase_if(all, [&](const std::string& name) { return !name.ends_with(ending); });
    return all;
  }
  // None where there is no such file.
  Result<std::optional<std::string>> contents(const std::string& path, std::uint64_t most) {
    auto bytes = net::read_file(*files_, path, most);
    if (!bytes && bytes.error() == Error::kNotFound) return std::nullopt;
    if (!bytes && bytes.error() == Error::kDenied) return unreadable(bytes.error());
    if (!bytes) return Failure(bytes.error());
    return std::move(*bytes);
  }

  // What reading one of its files came to.
  static void add(Surveyed& store, const std::string& file, const Version& found) {
    ++store.files;
    Standing standing = Standing::kCurrent;
    if (found) {
      store.versions.insert(*found);
      if (*found < store.format.latest) standing = Standing::kMigrates;
    } else {
      standing = found.error() == Error::kUnsupported ? Standing::kNewer : Standing::kDamaged;
    }
    if (standing > store.standing) {
      store.standing = standing;
      store.why = found ? "" : file + ": " + found.error().message();
    }
  }
  static Version version_of(std::string_view bytes, const Format& format) {
    const auto said = version_said(bytes, format);
    if (!said) return failure(Error::kCorrupt, fmt::format("this is not {}", format.what));
    if (*said > format.latest) return newer_format(format, *said);
    return *said;
  }

  Result<void> state() {
    Surveyed store{kStateFormat};
    const Result<std::string> copy = state_copied();
    if (!copy && copy.error() == Error::kDenied) return Failure(copy.error());
    if (!copy && copy.error() != Error::kNotFound) {
      add(store, "state/state.db", Failure(copy.error()));
    }
    if (copy) {
      const auto rehearsed = wiring_.rehearse_state(*copy + "/state.db", config_);
      add(store, "state/state.db",
          rehearsed ? Version(rehearsed->version) : Version(Failure(rehearsed.error())));
      if (rehearsed) {
        survey_.live_runs = rehearsed->live_runs;
        store.takes_ms = rehearsed->takes_ms;
      }
      std::error_code ignored;
      fs::remove_all(*copy, ignored);
    }
    // A transaction writes each page once into the write-ahead log, and then into the file.
    if (store.standing == Standing::kMigrates) store.writes_bytes = 2 * state_bytes_;
    survey_.stores.push_back(std::move(store));
    return {};
  }
  // A directory with the database and its write-ahead log as they are at one moment.
  Result<std::string> state_copied() {
    std::string to = (fs::temp_directory_path() / "gatehouse-upgrade-XXXXXX").string();
    if (mkdtemp(to.data()) == nullptr) return failure_from_errno(errno, "making " + to);
    const Result<void> done = copy_state(to);
    if (done) return to;
    std::error_code ignored;
    fs::remove_all(to, ignored);
    return Failure(done.error());
  }
  // The log is begun anew, with another salt in its header, only after all of it is in the
  // database: while that stays, what was read of the two belongs together.
  Result<void> copy_state(const std::string& to) {
    const auto target = TRY(net::open_file_system(to));
    for (int tries = 0; tries < kTriesMost; ++tries) {
      const auto before = TRY(contents("state/" + std::string(kWal), kStateMost)).value_or("");
      const auto database = TRY(contents("state/state.db", kStateMost));
      if (!database) return failure(Error::kNotFound, "there is no state store yet");
      const auto log = TRY(contents("state/" + std::string(kWal), kStateMost)).value_or("");
      if (before.substr(0, kWalHeaderSize) != log.substr(0, kWalHeaderSize)) continue;
      state_bytes_ = database->size() + log.size();
      TRY(net::replace_file(*target, "state.db", *database));
      return net::replace_file(*target, kWal, log);
    }
    return failure(Error::kUnavailable, "it is written to faster than it can be copied; try again");
  }

  Result<void> key_of(const Format& format, const std::string& file) {
    Surveyed store{format};
    auto bytes = TRY(contents(file, kKeyFileMost));
    if (bytes) {
      const auto found = parse_key_file(format, *bytes);
      wipe({bytes->data(), bytes->size()});
      add(store, file, found ? Version(found->version) : Version(Failure(found.error())));
      if (store.standing == Standing::kMigrates) store.writes_bytes = kKeyFileSize;
    }
    survey_.stores.push_back(std::move(store));
    return {};
  }
  Result<void> root_key() { return key_of(kRootKeyFormat, "vault/root.key"); }
  Result<void> house_key() { return key_of(kHouseKeyFormat, "run/house-key"); }

  Result<void> records() {
    Surveyed store{kRecordFormat};
    for (const std::string& name : TRY(names("vault", ".sealed"))) {
      const auto bytes = TRY(contents("vault/" + name, kRecordMost));
      if (bytes) add(store, "vault/" + name, version_of(*bytes, kRecordFormat));
    }
    Surveyed& key = survey_.stores.back();
    if (store.files > 0 && key.standing == Standing::kAbsent) {
      add(key, "vault/root.key",
          failure(Error::kCorrupt,
                  "it is gone, and what it sealed is here; restore it from its "
                  "backup"));
    }
    survey_.stores.push_back(std::move(store));
    return {};
  }

  Result<void> segments() {
    Surveyed store{kSegmentFormat};
    for (const std::string& name : TRY(names("audit", ".seg"))) {
      auto file = files_->open("audit/" + name, net::OpenMode::kRead);
      if (!file && file.error() == Error::kDenied) return unreadable(file.error());
      if (!file) continue;
      const std::string head = TRY((*file)->read_at(0, audit::kSegmentHeaderSize));
      if (head.find_first_not_of('\0') == std::string::npos) continue;  // it is being made
      const auto header = audit::parse_segment_header(head);
      add(store, "audit/" + name,
          header ? version_of(head, kSegmentFormat) : Version(Failure(header.error())));
      if (header && survey_.house.empty()) survey_.house = to_hex(header->salt);
    }
    // The earlier ones stay as they are: a log that this version has gone on with needs no step.
    if (store.standing == Standing::kMigrates && store.versions.contains(store.format.latest)) {
      store.standing = Standing::kCurrent;
    }
    survey_.stores.push_back(std::move(store));
    return {};
  }

  Result<void> kills() {
    Surveyed store{kKillsFormat};
    if (const auto text = TRY(contents("run/kills", kKillsMost))) {
      const Result<void> read = wiring_.check_kills(*text);
      add(store, "run/kills",
          read ? version_of(*text, kKillsFormat) : Version(Failure(read.error())));
    }
    survey_.stores.push_back(std::move(store));
    return {};
  }

  Result<void> run_token_keys() {
    Surveyed store{kRunTokenKeysFormat};
    auto bytes = TRY(contents("state/run-token-keys", kKeyFileMost));
    if (bytes) {
      add(store, "state/run-token-keys", version_of(*bytes, kRunTokenKeysFormat));
      wipe({bytes->data(), bytes->size()});
    }
    survey_.stores.push_back(std::move(store));
    return {};
  }

  // Not a part of the house; who upgrades it will use them.
  void sessions() {
    Surveyed store{kSessionsFormat};
    const auto found = sessions_on_disk();
    if (!found) add(store, "sessions.json", Failure(found.error()));
    if (found && *found) add(store, "sessions.json", Version((*found)->version));
    survey_.stores.push_back(std::move(store));
  }

  // Neither are these.
  void adopted() {
    Surveyed store{kAdoptedFormat};
    for (const std::string& file : adopt::record_files("").value_or(std::vector<std::string>())) {
      const auto record = adopt::load_record(file);
      add(store, file, record ? Version(kAdoptedFormat.latest) : Version(Failure(record.error())));
    }
    survey_.stores.push_back(std::move(store));
  }

  const std::string& data_;
  const std::string& config_;
  const Wiring& wiring_;
  std::unique_ptr<net::FileSystem> files_;
  std::uint64_t state_bytes_ = 0;
  Survey survey_;
};

// When the last backup that this segment knows of was made; 0 for none.
std::int64_t backup_in(std::string_view segment) {
  const auto header = audit::parse_segment_header(segment);
  std::int64_t last = 0;
  if (!header) return last;
  std::string_view rest = segment.substr(audit::kSegmentHeaderSize);
  audit::FrameView frame;
  while (audit::read_frame(rest, *header, frame) == audit::FrameState::kWhole) {
    rest.remove_prefix(std::min(frame.size, rest.size()));
    if (frame.type != audit::FrameType::kEntry) continue;
    const auto entry = audit::decode(frame.payload);
    if (!entry || entry->kind != audit::Kind::kAdministered) continue;
    if (entry->tag("act") != "backup" || entry->tag("outcome") != "done") continue;
    last = std::max(last, entry->wall_ns / 1'000'000);
  }
  return last;
}

}  // namespace

std::string_view text(Standing standing) {
  switch (standing) {
    case Standing::kAbsent:
      return "absent";
    case Standing::kCurrent:
      return "current";
    case Standing::kMigrates:
      return "migrates";
    case Standing::kNewer:
      return "newer";
    case Standing::kDamaged:
      return "damaged";
  }
  return "damaged";
}

Result<Survey> survey(const std::string& data, const std::string& config, const Wiring& wiring) {
  return Surveyor(data, config, wiring).run();
}

Result<std::int64_t> backup_on_record(const std::string& data, std::int64_t since_unix_ms) {
  const auto files = net::open_file_system(data + "/audit");
  if (!files) return 0;
  std::vector<std::string> names = TRY((*files)->list("."));
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(".seg"); });
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    struct stat about{};
    if (stat((data + "/audit/" + *name).c_str(), &about) != 0) continue;
    if (std::int64_t{about.st_mtim.tv_sec} * 1000 < since_unix_ms) break;  // and all before it
    const auto bytes = net::read_file(**files, *name, kSegmentMost);
    const std::int64_t last = bytes ? backup_in(*bytes) : 0;
    if (last >= since_unix_ms) return last;
  }
  return 0;
}

}  // namespace gatehouse::cli
