// SPDX-License-Identifier: Apache-2.0
#include "supervisor/kill_file.h"

#include <fmt/format.h>

#include <charconv>

#include "base/encoding.h"
#include "base/format_version.h"

namespace gatehouse::supervisor {
namespace {

constexpr std::string_view kName = "kills";
constexpr std::string_view kFirstLine = kKillsFormat.magic;
constexpr std::string_view kLastLine = "end";
constexpr std::string_view kReserveName = "kills.reserve";
constexpr std::string_view kNewerName = "kills.newer";
constexpr std::size_t kReserveSize = 256 * 1024;
constexpr std::uint64_t kSizeMost = 64 * 1024 * 1024;

std::string_view word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view first = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return first;
}

Result<void> parse_line(std::string_view line, KillState& state) {
  const std::string_view kind = word(line);
  if (kind == "all" && line.empty()) {
    state.all = true;
    return {};
  }
  if (kind != "run") return failure(Error::kCorrupt, "an unknown line");
  const RunId run = TRY(RunId::parse(word(line)));
  const std::string_view at = word(line);
  Killed killed;
  const auto [end, error] = std::from_chars(at.data(), at.data() + at.size(), killed.at_unix_ms);
  if (error != std::errc() || end != at.data() + at.size()) {
    return failure(Error::kCorrupt, "a time that is not a number");
  }
  const std::string_view trace = word(line);
  if (trace != "-") killed.trace = TRY(TraceId::parse(trace));
  killed.tenant = TRY(percent_decoded(word(line)));
  killed.reason = TRY(percent_decoded(line));
  state.runs[run] = std::move(killed);
  return {};
}

}  // namespace

std::vector<RunId> KillState::ids() const {
  std::vector<RunId> list;
  for (const auto& [run, killed] : runs) list.push_back(run);
  return list;
}

std::string kill_file_text(const KillState& state) {
  std::string text = fmt::format("{}\n", kFirstLine);
  if (state.all) text += "all\n";
  for (const auto& [run, killed] : state.runs) {
    text += fmt::format("run {} {} {} {} {}\n", run.text(), killed.at_unix_ms,
                        killed.trace ? killed.trace->text() : "-", percent_encoded(killed.tenant),
                        percent_encoded(killed.reason));
  }
  return text + fmt::format("{}\n", kLastLine);
}

Result<KillState> parse_kill_file(std::string_view text) {
  if (const std::uint64_t later = later_version(text, kKillsFormat); later != 0) {
    return newer_format(kKillsFormat, later);
  }
  KillState state;
  int number = 0;
  bool ended = false;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || ended) {
      return failure(Error::kCorrupt, fmt::format("the kill file breaks off at line {}", number));
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (line != kFirstLine)
        return failure(Error::kCorrupt, "this is not a kill file of version 1");
    } else if (line == kLastLine) {
      ended = true;
    } else if (const Result<void> parsed = parse_line(line, state); !parsed) {
      return failure(Error::kCorrupt,
                     fmt::format("line {} of the kill file: {}", number, parsed.error().message()));
    }
  }
  if (!ended) return failure(Error::kCorrupt, "the kill file has no end");
  return state;
}

Result<KillState> KillFile::load() {
  keep_reserve();
  const Result<std::string> text = net::read_file(files_, kName, kSizeMost);
  if (!text && text.error() == Error::kNotFound) return KillState{};
  if (!text) return Failure(text.error());
  auto state = parse_kill_file(*text);
  if (!state && state.error() == Error::kUnsupported) newer_ = *text;
  return state;
}

Result<void> KillFile::save(const KillState& state) {
  if (!newer_.empty()) {
    TRY(net::replace_file(files_, kNewerName, newer_));
    newer_.clear();
  }
  const std::string text = kill_file_text(state);
  Result<void> saved = net::replace_file(files_, kName, text);
  if (!saved && saved.error() == Error::kExhausted && files_.remove(kReserveName)) {
    saved = net::replace_file(files_, kName, text);
  }
  keep_reserve();
  return saved;
}

void KillFile::keep_reserve() {
  if (files_.open(kReserveName, net::OpenMode::kRead)) return;
  const auto written = [this]() -> Result<void> {
    const auto file = TRY(files_.open(kReserveName, net::OpenMode::kCreateNew));
    TRY(file->write_at(0, std::string(kReserveSize, '\1')));
    return file->sync();
  }();
  if (!written) static_cast<void>(files_.remove(kReserveName));  // there is no room for one now
}

}  // namespace gatehouse::supervisor
