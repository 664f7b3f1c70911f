// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "audit/digest.h"
#include "base/encoding.h"
#include "base/format_version.h"
#include "cli/state_folder.h"
#include "net/descriptor.h"
#include "wire/json.h"

namespace gatehouse::cli::adopt {
namespace {

constexpr std::size_t kRecordMost = 256 * 1024 * 1024;  // bytes
constexpr int kRecordsMost = 999;

std::vector<std::size_t> places_of(std::string_view text, std::string_view what) {
  std::vector<std::size_t> places;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    places.push_back(at);
  }
  return places;
}

Failure damaged() { return failure(Error::kCorrupt, "the record of the adoption is damaged"); }

Result<std::string> base64_member(const wire::JsonObject& object, std::string_view key) {
  const auto text = object.string(key);
  if (!text) return damaged();
  auto bytes = from_base64(*text);
  if (!bytes) return damaged();
  return std::move(*bytes);
}

Result<ChangedFile> file_from(const wire::JsonObject& object) {
  ChangedFile file;
  const auto edits = object.find("edits");
  if (edits == nullptr) return damaged();
  file.name = object.string("name").value_or("");
  file.before = PrivateText(TRY(base64_member(object, "before")));
  file.after_sha256 = object.string("after_sha256").value_or("");
  for (const wire::JsonValue& item : TRY(wire::scan_array(edits->raw))) {
    const wire::JsonObject one = TRY(wire::scan_object(item.raw));
    const auto number = [&](std::string_view key) -> std::size_t {
      const wire::JsonValue* value = one.find(key);
      const std::int64_t n = value == nullptr ? -1 : value->integer().value_or(-1);
      return n < 0 ? SIZE_MAX : static_cast<std::size_t>(n);
    };
    Edit edit;
    edit.was = PrivateText(TRY(base64_member(one, "was")));
    edit.now = one.string("now").value_or("");
    edit.nth = number("nth");
    edit.of = number("of");
    if (edit.now.empty() || edit.nth >= edit.of || edit.of == SIZE_MAX) return damaged();
    file.edits.push_back(std::move(edit));
  }
  return file;
}

Result<Record> record_from(const wire::JsonObject& object) {
  Record record;
  const wire::JsonValue* version = object.find("version");
  if (version == nullptr) return damaged();
  const std::int64_t said = version->integer().value_or(0);
  if (said < 1) return damaged();
  if (static_cast<std::uint64_t>(said) > kAdoptedFormat.latest) {
    return newer_format(kAdoptedFormat, static_cast<std::uint64_t>(said));
  }
  record.path = object.string("path").value_or("");
  record.agent = object.string("agent").value_or("");
  record.made = object.string("made").value_or("");
  const wire::JsonValue* files = object.find("files");
  const wire::JsonValue* keys = object.find("keys");
  if (files == nullptr || keys == nullptr) return damaged();
  for (const wire::JsonValue& item : TRY(wire::scan_array(files->raw))) {
    record.files.push_back(TRY(file_from(TRY(wire::scan_object(item.raw)))));
  }
  for (const wire::JsonValue& item : TRY(wire::scan_array(keys->raw))) {
    const wire::JsonObject one = TRY(wire::scan_object(item.raw));
    const auto text = [&](std::string_view key) { return one.string(key).value_or(""); };
    record.keys.push_back({text("tenant"), text("user"), text("service"), text("sha256")});
  }
  return record;
}

Result<std::string> stem_of(const std::string& path) {
  const std::string folder = TRY(state_folder()) + "/adopted/";
  return path.empty() ? folder : folder + hex_sha256(path).substr(0, 16) + "-";
}

}  // namespace

std::string hex_sha256(std::string_view bytes) { return to_hex(audit::sha256(bytes)); }

Spliced spliced(std::string_view before, std::vector<NamedSplice> splices) {
  std::ranges::sort(splices, {}, [](const NamedSplice& s) { return s.splice->begin; });
  Spliced out;
  std::string after;
  after.reserve(before.size() + splices.size() * 128);
  std::size_t at = 0;
  std::vector<std::size_t> places;
  for (const NamedSplice& one : splices) {
    after += before.substr(at, one.splice->begin - at);
    places.push_back(after.size());
    Edit edit;
    edit.was = PrivateText(
        std::string(before.substr(one.splice->begin, one.splice->end - one.splice->begin)));
    edit.now = one.splice->head + one.variable + one.splice->tail;
    after += edit.now;
    at = one.splice->end;
    out.edits.push_back(std::move(edit));
  }
  after += before.substr(at);
  for (std::size_t i = 0; i < out.edits.size(); ++i) {
    const std::vector<std::size_t> equal = places_of(after, out.edits[i].now);
    out.edits[i].of = equal.size();
    out.edits[i].nth =
        static_cast<std::size_t>(std::ranges::lower_bound(equal, places[i]) - equal.begin());
  }
  out.after = PrivateText(std::move(after));
  return out;
}

Result<PrivateText> undone(const ChangedFile& file, std::string_view now) {
  if (hex_sha256(now) == file.after_sha256) {
    return PrivateText(std::string(file.before.view()));
  }
  struct Place {
    std::size_t at;
    const Edit* edit;
  };
  std::vector<Place> places;
  for (const Edit& edit : file.edits) {
    const std::vector<std::size_t> equal = places_of(now, edit.now);
    if (equal.size() != edit.of) {
      return failure(Error::kConflict,
                     fmt::format("{} was changed: {} stood there {} times, and now does {} times",
                                 file.name, edit.now, edit.of, equal.size()));
    }
    places.push_back({equal[edit.nth], &edit});
  }
  std::ranges::sort(places, {}, &Place::at);
  std::string text;
  text.reserve(now.size() + file.before.view().size());
  std::size_t at = 0;
  for (const Place& place : places) {
    if (place.at < at) return failure(Error::kConflict, file.name + " was changed");
    text += now.substr(at, place.at - at);
    text += place.edit->was.view();
    at = place.at + place.edit->now.size();
  }
  text += now.substr(at);
  return PrivateText(std::move(text));
}

PrivateText text_of(const Record& record) {
  wire::JsonWriter out;
  out.begin_object().key("version").integer(std::int64_t{kAdoptedFormat.latest});
  out.key("path").string(record.path).key("agent").string(record.agent);
  out.key("made").string(record.made).key("files").begin_array();
  for (const ChangedFile& file : record.files) {
    out.begin_object().key("name").string(file.name);
    out.key("before").string(to_base64(file.before.view()));
    out.key("after_sha256").string(file.after_sha256).key("edits").begin_array();
    for (const Edit& edit : file.edits) {
      out.begin_object().key("was").string(to_base64(edit.was.view()));
      out.key("now").string(edit.now);
      out.key("nth").integer(static_cast<std::int64_t>(edit.nth));
      out.key("of").integer(static_cast<std::int64_t>(edit.of)).end_object();
    }
    out.end_array().end_object();
  }
  out.end_array().key("keys").begin_array();
  for (const StoredKey& key : record.keys) {
    out.begin_object().key("tenant").string(key.tenant).key("user").string(key.user);
    out.key("service").string(key.service).key("sha256").string(key.sha256).end_object();
  }
  out.end_array().end_object();
  return PrivateText(std::move(out).text() + "\n");
}

Result<Record> parse_record(std::string_view text) {
  const auto object = wire::scan_object(text);
  if (!object) return damaged();
  auto record = record_from(*object);
  if (!record && record.error() != Error::kUnsupported) return damaged();
  return record;
}

Result<std::vector<std::string>> record_files(const std::string& path) {
  const std::string stem = TRY(stem_of(path));
  const std::size_t slash = stem.rfind('/');
  std::vector<std::string> files;
  std::error_code none;  // no folder yet: no records
  for (const auto& entry : std::filesystem::directory_iterator(stem.substr(0, slash), none)) {
    const std::string file = entry.path().string();
    if (file.starts_with(stem) && file.ends_with(".json")) files.push_back(file);
  }
  std::ranges::sort(files);
  return files;
}

Result<std::string> next_record_file(const std::string& path) {
  const std::string stem = TRY(stem_of(path));
  const std::vector<std::string> files = TRY(record_files(path));
  int next = 1;
  if (!files.empty()) {
    const std::string& last = files.back();
    next = std::atoi(last.substr(stem.size()).c_str()) + 1;
  }
  if (next > kRecordsMost) {
    return failure(Error::kTooMany, fmt::format("{} was adopted {} times; `gatehouse adopt {} "
                                                "--forget` forgets how to undo it",
                                                path, kRecordsMost, path));
  }
  return fmt::format("{}{:03}.json", stem, next);
}

Result<Record> load_record(const std::string& file) {
  const PrivateText text(TRY(private_file_text(
      file, kRecordMost, "holds keys and is not yours alone; chmod 600 it, as its owner")));
  auto record = parse_record(text.view());
  if (!record) return Failure(record.error().in(file));
  return record;
}

Result<void> store_record(const std::string& file, const Record& record) {
  return replace_private_file(file, text_of(record).view());
}

Result<void> remove_record(const std::string& file) {
  if (unlink(file.c_str()) != 0 && errno != ENOENT) {
    return failure_from_errno(errno, "removing " + file);
  }
  const std::string place = file.substr(0, file.rfind('/'));
  const net::Descriptor folder(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || fsync(folder.get()) != 0) {
    return failure_from_errno(errno, "syncing " + place);
  }
  return {};
}

}  // namespace gatehouse::cli::adopt
