// SPDX-License-Identifier: Apache-2.0
#include "gateway/conversations.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kStride = 4096;  // between two marks
constexpr std::size_t kMarked = 32;    // bytes that a mark is of
constexpr std::size_t kBlock = 1024;

// memcmp goes through a block at the speed of memory, and does not say where it stopped.
std::size_t common_prefix(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t at = 0;
  while (at + kBlock <= most && std::memcmp(a.data() + at, b.data() + at, kBlock) == 0)
    at += kBlock;
  while (at < most && a[at] == b[at]) ++at;
  return at;
}

std::size_t marks_of(std::size_t body_size) {
  return body_size < kStride + kMarked ? 0 : (body_size - kMarked) / kStride;
}

}  // namespace

std::size_t Conversations::Talk::bytes() const {
  return text.capacity() + parts.capacity() * sizeof(KnownPart)
         + marks.capacity() * 8 * sizeof(std::uint64_t);
}

Conversations::Conversations() {
  fill_random({reinterpret_cast<std::uint8_t*>(key_.data()), sizeof key_});
}

std::uint64_t Conversations::mark(const Speaker& who, std::string_view body, std::size_t at) const {
  static_assert(sizeof key_ == crypto_shorthash_KEYBYTES);
  std::array<char, sizeof who.run.bytes() + 2 + sizeof at + kMarked> marked{};
  char* to = std::ranges::copy(who.run.bytes(), marked.begin()).out;
  *to++ = static_cast<char>(who.dialect);
  *to++ = static_cast<char>(who.operation);
  std::memcpy(to, &at, sizeof at);
  std::memcpy(to + sizeof at, body.data() + at, kMarked);
  std::uint64_t hash = 0;
  static_assert(sizeof hash == crypto_shorthash_BYTES);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash),
                   reinterpret_cast<const unsigned char*>(marked.data()), marked.size(),
                   reinterpret_cast<const unsigned char*>(key_.data()));
  return hash;
}

// The one whose last bytes in common with the body lie farthest in.
Conversations::Talks::iterator Conversations::best(const Speaker& who, std::string_view body) {
  for (std::size_t number = marks_of(body.size()); number > 0; --number) {
    const auto found = by_mark_.find(mark(who, body, number * kStride));
    if (found != by_mark_.end() && found->second->who == who) return found->second;
  }
  return talks_.end();
}

Known Conversations::find(const Speaker& who, std::string_view body) {
  Known known;
  if (body.size() < kBodyLeast || body.size() > kBodyMost) return known;
  const auto talk = best(who, body);
  if (talk == talks_.end()) return known;
  talks_.splice(talks_.begin(), talks_, talk);
  known.conversation = talk->id;
  known.turn = talk->turn;
  known.prefix = common_prefix(talk->text, body);
  find_parts(*talk, body, known);
  return known;
}

// What is not in the prefix may stand where it stood, behind something that has changed, or as far
// from the end.
void Conversations::find_parts(const Talk& talk, std::string_view body, Known& known) {
  const std::string_view text = talk.text;
  std::size_t end = 0;
  known.parts.reserve(talk.parts.size());
  const auto stands_at = [&](const KnownPart& part, std::size_t at) {
    return at >= end && at <= body.size() && part.size <= body.size() - at
           && std::memcmp(body.data() + at, text.data() + part.at, part.size) == 0;
  };
  for (const KnownPart& part : talk.parts) {
    const std::size_t from_end = body.size() - (text.size() - part.at);
    const bool is_in_prefix = part.at + part.size <= known.prefix;
    const bool is_in_place = is_in_prefix || stands_at(part, part.at);
    if (!is_in_place && !stands_at(part, from_end)) continue;
    known.parts.push_back(part);
    if (!is_in_place) known.parts.back().at = from_end;
    end = known.parts.back().at + part.size;
    known.bytes += part.size;
  }
}

void Conversations::keep(const Speaker& who, const Known& known, std::string_view body,
                         std::vector<KnownPart> parts) {
  if (body.size() < kBodyLeast || body.size() > kBodyMost) return;
  const auto found = by_id_.find(known.conversation);
  // Who says much else goes another way from there on: the way that it leaves may be gone on too.
  const bool goes_on = found != by_id_.end() && found->second->turn == known.turn
                       && std::max(known.prefix, known.bytes) > found->second->text.size() / 4 * 3;
  if (!goes_on) {
    talks_.push_front({.id = next_id_++, .who = who});
    by_id_.emplace(talks_.front().id, talks_.begin());
  } else {
    talks_.splice(talks_.begin(), talks_, found->second);
  }
  Talk& talk = talks_.front();
  bytes_ -= goes_on ? talk.bytes() : 0;
  say(talk, body, goes_on ? known.prefix : 0);
  talk.parts = std::move(parts);
  ++talk.turn;
  bytes_ += talk.bytes();
  while (bytes_ > kBytesMost) drop(std::prev(talks_.end()));
}

void Conversations::say(Talk& talk, std::string_view body, std::size_t same) {
  drop_marks(talk, marks_of(same));
  talk.text.resize(same);
  talk.text.append(body.substr(same));
  for (std::size_t number = talk.marks.size() + 1; number <= marks_of(body.size()); ++number) {
    talk.marks.push_back(mark(talk.who, body, number * kStride));
    by_mark_.insert_or_assign(talk.marks.back(), talks_.begin());
  }
}

void Conversations::drop_marks(Talk& talk, std::size_t from) {
  for (; talk.marks.size() > from; talk.marks.pop_back()) {
    const auto found = by_mark_.find(talk.marks.back());
    // Another one that says the same there may have it now.
    if (found != by_mark_.end() && found->second->id == talk.id) by_mark_.erase(found);
  }
}

void Conversations::drop(Talks::iterator talk) {
  bytes_ -= talk->bytes();
  drop_marks(*talk, 0);
  by_id_.erase(talk->id);
  talks_.erase(talk);
}

void Conversations::forget(const RunId& run) {
  for (auto talk = talks_.begin(); talk != talks_.end();) {
    const auto next = std::next(talk);
    if (talk->who.run == run) drop(talk);
    talk = next;
  }
}

}  // namespace gatehouse::gateway
