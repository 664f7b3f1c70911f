// SPDX-License-Identifier: Apache-2.0
#include "audit/body_index.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "audit/segment.h"
#include "base/random.h"

namespace gatehouse::audit {

BodyIndex::Hash::Hash() { fill_random({reinterpret_cast<std::uint8_t*>(key.data()), sizeof key}); }

// SipHash-2-4.
std::uint64_t BodyIndex::Hash::operator()(const ObjectId& object) const {
  static_assert(sizeof key == crypto_shorthash_KEYBYTES);
  std::uint64_t hash = 0;
  static_assert(sizeof hash == crypto_shorthash_BYTES);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), object.data(), object.size(),
                   reinterpret_cast<const unsigned char*>(key.data()));
  return hash;
}

BodyIndex::BodyIndex() : its_hash_(hash_(hashed_)), pieces_(0, hash_) {}

std::uint64_t BodyIndex::hash_of(const ObjectId& object) const {
  if (object != hashed_) {
    its_hash_ = hash_(object);
    hashed_ = object;
  }
  return its_hash_;
}

BodyIndex::Slot* BodyIndex::find(const ObjectId& object) {
  return const_cast<Slot*>(std::as_const(*this).find(object));
}

const BodyIndex::Slot* BodyIndex::find(const ObjectId& object) const {
  const std::uint64_t hash = hash_of(object);
  const Part& part = parts_[hash % kParts];
  if (part.slots.empty()) return nullptr;
  const std::size_t mask = part.slots.size() - 1;
  for (std::size_t at = (hash / kParts) & mask;; at = (at + 1) & mask) {
    const Slot& slot = part.slots[at];
    if (slot.place.size == 0) return nullptr;
    if (slot.object == object) return &slot;
  }
}

BodyIndex::Pieces* BodyIndex::pieces_of(const ObjectId& object) {
  if (pieces_.empty()) return nullptr;
  const auto found = pieces_.find(object);
  return found == pieces_.end() ? nullptr : &found->second;
}

void BodyIndex::insert(const Slot& slot) {
  const std::uint64_t hash = hash_of(slot.object);
  insert(parts_[hash % kParts], slot, hash / kParts);
}

void BodyIndex::insert(Part& part, const Slot& slot, std::uint64_t own) const {
  constexpr std::size_t kSlotsLeast = 8;
  if (part.used + part.used / 2 >= part.slots.size()) {
    std::vector<Slot> before(std::max(kSlotsLeast, 2 * part.slots.size()));
    before.swap(part.slots);
    part.used = 0;
    for (const Slot& old : before) {
      if (old.place.size != 0) insert(part, old, hash_(old.object) / kParts);
    }
  }
  const std::size_t mask = part.slots.size() - 1;
  std::size_t at = own & mask;
  while (part.slots[at].place.size != 0) at = (at + 1) & mask;
  part.slots[at] = slot;
  ++part.used;
}

std::optional<BodyIndex::Extent> BodyIndex::extent(const ObjectId& object) const {
  if (!pieces_.empty()) {
    if (const auto found = pieces_.find(object); found != pieces_.end()) {
      return found->second.extent;
    }
  }
  if (const Slot* slot = find(object)) return Extent{slot->place.size - kBodyHeaderSize, true};
  return std::nullopt;
}

// What is whole in one frame, as nearly all is, has its slot from the start.
void BodyIndex::gather(const ObjectId& object, Extent now) {
  if (Pieces* pieces = pieces_of(object)) {
    pieces->extent = now;
  } else if (now.is_whole && find(object) == nullptr) {
    const auto size = static_cast<std::uint32_t>(now.length + kBodyHeaderSize);
    insert({object, {0, size, kNotCommitted}});
  } else {
    pieces_[object].extent = now;
  }
}

void BodyIndex::commit(const ObjectId& object, const Place& place, Extent after) {
  Slot* const slot = find(object);
  if (slot != nullptr && slot->place.offset == kNotCommitted) {
    slot->place = place;
    return;
  }
  Pieces* known = pieces_of(object);
  const bool is_alone = known == nullptr || known->places.empty();
  const bool is_all = after.is_whole && after.length == place.size - kBodyHeaderSize;
  if (is_alone && is_all && slot == nullptr) {
    insert({object, place});
    if (known != nullptr) pieces_.erase(object);
    return;
  }
  Pieces& pieces = known == nullptr ? pieces_[object] : *known;
  pieces.places.push_back(place);
  pieces.extent.length = std::max(pieces.extent.length, after.length);
  pieces.extent.is_whole = pieces.extent.is_whole || after.is_whole;
}

std::size_t BodyIndex::longest_probe() const {
  std::size_t longest = 0;
  for (const Part& part : parts_) {
    for (std::size_t at = 0; at < part.slots.size(); ++at) {
      if (part.slots[at].place.size == 0) continue;
      const std::size_t own = hash_(part.slots[at].object) / kParts;
      longest = std::max(longest, ((at - own) & (part.slots.size() - 1)) + 1);
    }
  }
  return longest;
}

std::vector<Place> BodyIndex::places(const ObjectId& object) const {
  if (const auto found = pieces_.find(object); found != pieces_.end()) return found->second.places;
  const Slot* slot = find(object);
  if (slot == nullptr || slot->place.offset == kNotCommitted) return {};
  return {slot->place};
}

}  // namespace gatehouse::audit
