// SPDX-License-Identifier: Apache-2.0
#include "audit/entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace gatehouse::audit {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kListMost = 256;
constexpr std::size_t kTextMost = 0xffff;

constexpr std::array<std::string_view, 14> kNames = {
    "note",           "run_started", "run_ended",    "intent",         "settled",
    "refused",        "alarm",       "vault_use",    "killed",         "revived",
    "config_changed", "gap",         "administered", "transcript_read"};

// How long what is written will be ...
class Measure {
 public:
  template <class T>
  void integer(T) {
    size += sizeof(T);
  }
  void text(std::string_view value) {
    size += sizeof(std::uint16_t) + std::min(value.size(), kTextMost);
  }
  template <std::size_t N>
  void raw(const std::array<std::uint8_t, N>&) {
    size += N;
  }
  std::size_t size = 0;
};

// ... and its writing, where there is room for all of it.
class Writer {
 public:
  explicit Writer(char* to) : to_(to) {}
  template <class T>
  void integer(T value) {
    const auto raw = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof raw; ++i) *to_++ = static_cast<char>(raw >> (8 * i));
  }
  void text(std::string_view value) {
    value = value.substr(0, kTextMost);
    integer(static_cast<std::uint16_t>(value.size()));
    to_ = std::ranges::copy(value, to_).out;
  }
  template <std::size_t N>
  void raw(const std::array<std::uint8_t, N>& bytes) {
    to_ = std::ranges::copy(bytes, to_).out;
  }

 private:
  char* to_;
};

template <class Out>
void write(Out& w, const Entry& entry) {
  w.integer(kVersion);
  w.integer(static_cast<std::uint8_t>(entry.kind));
  w.integer(entry.wall_ns);
  w.integer(entry.monotonic_ns);
  w.text(entry.role);
  w.text(entry.tenant);
  w.raw(entry.run ? entry.run->bytes() : IdBytes{});
  w.raw(entry.trace.bytes);
  w.raw(entry.span.bytes);
  w.text(entry.linked_trace);
  w.raw(entry.exchange ? entry.exchange->bytes() : IdBytes{});
  w.integer(static_cast<std::uint16_t>(entry.tags.size()));
  for (const auto& [key, value] : entry.tags) {
    w.text(key);
    w.text(value);
  }
  w.integer(static_cast<std::uint16_t>(entry.bodies.size()));
  for (const BodyRef& body : entry.bodies) {
    w.text(body.name);
    w.raw(body.object);
    w.integer(body.size);
    w.raw(body.commitment);
  }
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  template <class T>
  void integer(T& value) {
    static_assert(std::endian::native == std::endian::little);  // as the encoding is
    const std::string_view raw = take(sizeof(T));
    value = 0;
    if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
  }
  template <class Text>
  void text(Text& value) {
    std::uint16_t size = 0;
    integer(size);
    value = take(size);
  }
  template <std::size_t N>
  void raw(std::array<std::uint8_t, N>& bytes) {
    const std::string_view taken = take(N);
    if (!failed) std::memcpy(bytes.data(), taken.data(), N);
  }
  std::size_t count() {
    std::uint16_t n = 0;
    integer(n);
    if (n > kListMost) failed = true;
    return failed ? 0 : n;
  }
  [[nodiscard]] bool complete() const { return !failed && left_.empty(); }
  bool failed = false;

 private:
  std::string_view take(std::size_t size) {
    if (failed || size > left_.size()) {
      failed = true;
      return {};
    }
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  std::string_view left_;
};

}  // namespace

std::string_view name_of(Kind kind) {
  const auto at = static_cast<std::size_t>(kind);
  return at < kNames.size() ? kNames[at] : "unknown";
}

std::string_view Entry::tag(std::string_view key) const {
  const auto found =
      std::find_if(tags.begin(), tags.end(), [&](const auto& tag) { return tag.first == key; });
  return found == tags.end() ? std::string_view() : std::string_view(found->second);
}

Result<std::string> encode(const Entry& entry) {
  Measure measure;
  write(measure, entry);
  if (measure.size > kEntryMost || entry.tags.size() > kListMost
      || entry.bodies.size() > kListMost) {
    return failure(Error::kTooLarge,
                   fmt::format("an Entry of {} bytes, {} tags and {} bodies", measure.size,
                               entry.tags.size(), entry.bodies.size()));
  }
  std::string out;
  out.resize_and_overwrite(measure.size, [&](char* to, std::size_t size) {
    Writer writer(to);
    write(writer, entry);
    return size;
  });
  return out;
}

namespace {

// All that is before the tags.
template <class About>
Result<void> read_head(Reader& r, std::size_t size, About& about) {
  std::uint8_t version = 0;
  std::uint8_t kind = 0;
  r.integer(version);
  r.integer(kind);
  if (version > kVersion || (version == kVersion && kind >= kNames.size())) {
    return failure(Error::kUnsupported,
                   fmt::format("made by a newer gatehouse: an Entry is of version {} and kind {}, "
                               "and this gatehouse reads up to {} and {}",
                               version, kind, kVersion, kNames.size() - 1));
  }
  if (version != kVersion || size > kEntryMost) {
    return failure(Error::kCorrupt, "an Entry without its version, or longer than one can be");
  }
  about.kind = static_cast<Kind>(kind);
  r.integer(about.wall_ns);
  r.integer(about.monotonic_ns);
  r.text(about.role);
  r.text(about.tenant);
  IdBytes run{};
  r.raw(run);
  if (run != IdBytes{}) about.run = RunId::from_bytes(run);
  r.raw(about.trace.bytes);
  r.raw(about.span.bytes);
  r.text(about.linked_trace);
  IdBytes exchange{};
  r.raw(exchange);
  if (exchange != IdBytes{}) about.exchange = ExchangeId::from_bytes(exchange);
  return {};
}

// Tags and bodies, each given to its function.
template <class Text, class Tag, class Body>
Result<void> read_rest(Reader& r, Tag tag, Body body) {
  for (std::size_t n = r.count(); n > 0 && !r.failed; --n) {
    Text key;
    Text value;
    r.text(key);
    r.text(value);
    tag(std::move(key), std::move(value));
  }
  for (std::size_t n = r.count(); n > 0 && !r.failed; --n) {
    Text name;
    BodyRef about;
    r.text(name);
    r.raw(about.object);
    r.integer(about.size);
    r.raw(about.commitment);
    body(std::move(name), std::move(about));
  }
  if (!r.complete()) return failure(Error::kCorrupt, "an Entry that does not decode");
  return {};
}

}  // namespace

Result<Entry> decode(std::string_view bytes) {
  Reader r(bytes);
  Entry entry;
  TRY(read_head(r, bytes.size(), entry));
  TRY(read_rest<std::string>(
      r,
      [&](std::string key, std::string value) {
        entry.tags.emplace_back(std::move(key), std::move(value));
      },
      [&](std::string name, BodyRef body) {
        body.name = std::move(name);
        entry.bodies.push_back(std::move(body));
      }));
  return entry;
}

Result<Outline> outline_of_checked(std::string_view bytes) {
  Reader r(bytes);
  Outline about;
  TRY(read_head(r, bytes.size(), about));
  return about;
}

Result<Outline> outline(std::string_view bytes) {
  Reader r(bytes);
  Outline about;
  TRY(read_head(r, bytes.size(), about));
  TRY(read_rest<std::string_view>(
      r, [](std::string_view, std::string_view) {}, [](std::string_view, const BodyRef&) {}));
  return about;
}

}  // namespace gatehouse::audit
