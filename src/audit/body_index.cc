// SPDX-License-Identifier: Apache-2.0
#include "audit/body_index.h"

#include <algorithm>
#include <cstring>

#include "audit/segment.h"

namespace gatehouse::audit {

// Ids are drawn at random by gateways; a captured one that draws them badly slows down the finding
// of its own.
std::uint64_t BodyIndex::hash_of(const ObjectId& object) {
  std::array<std::uint64_t, 2> halves{};
  std::memcpy(halves.data(), object.data(), sizeof halves);
  return (halves[0] ^ (halves[1] >> 32 | halves[1] << 32)) * 0x9e3779b97f4a7c15U;
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

void BodyIndex::insert(Part& part, const Slot& slot) {
  constexpr std::size_t kSlotsLeast = 8;
  if (part.used + part.used / 2 >= part.slots.size()) {
    std::vector<Slot> before(std::max(kSlotsLeast, 2 * part.slots.size()));
    before.swap(part.slots);
    part.used = 0;
    for (const Slot& old : before) {
      if (old.place.size != 0) insert(part, old);
    }
  }
  const std::size_t mask = part.slots.size() - 1;
  std::size_t at = (hash_of(slot.object) / kParts) & mask;
  while (part.slots[at].place.size != 0) at = (at + 1) & mask;
  part.slots[at] = slot;
  ++part.used;
}

std::optional<BodyIndex::Extent> BodyIndex::extent(const ObjectId& object) const {
  if (const auto found = pieces_.find(object); found != pieces_.end()) return found->second.extent;
  if (const Slot* slot = find(object)) return Extent{slot->place.size - kBodyHeaderSize, true};
  return std::nullopt;
}

void BodyIndex::gather(const ObjectId& object, Extent now) { pieces_[object].extent = now; }

void BodyIndex::commit(const ObjectId& object, const Place& place, Extent after) {
  const auto found = pieces_.find(object);
  const bool is_alone = found == pieces_.end() || found->second.places.empty();
  const bool is_all = after.is_whole && after.length == place.size - kBodyHeaderSize;
  if (is_alone && is_all && find(object) == nullptr) {
    insert(parts_[hash_of(object) % kParts], {object, place});
    if (found != pieces_.end()) pieces_.erase(found);
    return;
  }
  Pieces& pieces = found == pieces_.end() ? pieces_[object] : found->second;
  pieces.places.push_back(place);
  pieces.extent.length = std::max(pieces.extent.length, after.length);
  pieces.extent.is_whole = pieces.extent.is_whole || after.is_whole;
}

std::vector<Place> BodyIndex::places(const ObjectId& object) const {
  if (const auto found = pieces_.find(object); found != pieces_.end()) return found->second.places;
  if (const Slot* slot = find(object)) return {slot->place};
  return {};
}

}  // namespace gatehouse::audit
