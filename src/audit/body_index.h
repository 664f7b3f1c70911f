// SPDX-License-Identifier: Apache-2.0
// Where the log's bodies lie. Nearly all are one frame, of which the table keeps 32 bytes; it grows
// a part at a time, because a table of a million bodies that grows at once stands still for longer
// than a gateway waits for its Intent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::audit {

// A frame of the log.
struct Place {
  std::uint32_t segment = 0;
  std::uint32_t size = 0;    // of its payload, above 0
  std::uint64_t offset = 0;  // of the frame
};

class BodyIndex {
 public:
  BodyIndex();

  struct Extent {
    std::uint64_t length = 0;
    bool is_whole = false;  // nothing more is taken
    friend bool operator==(const Extent&, const Extent&) = default;
  };
  // What there is of one, with what is not committed yet; nothing of one that is new.
  [[nodiscard]] std::optional<Extent> extent(const ObjectId& object) const;
  // A piece of it was gathered.
  void gather(const ObjectId& object, Extent now);
  // A piece of it is committed; `after` is what there is with it.
  void commit(const ObjectId& object, const Place& place, Extent after);
  // Its committed frames, in order; none of one that is not there.
  [[nodiscard]] std::vector<Place> places(const ObjectId& object) const;
  // How many slots are looked at for the one that is farthest from its own.
  [[nodiscard]] std::size_t longest_probe() const;

 private:
  static constexpr std::size_t kParts = 1024;
  struct Slot {
    ObjectId object{};
    Place place;  // size 0: free
  };
  struct Part {
    std::vector<Slot> slots;  // a power of two; open addressing, linear probing
    std::size_t used = 0;
  };
  struct Pieces {
    std::vector<Place> places;
    Extent extent;
  };
  // Keyed by this process: gateways choose the ids, and a captured one would choose those that
  // stand in each other's way, which is everybody's log that it slows down.
  struct Hash {
    Hash();
    std::array<std::uint64_t, 2> key;
    std::uint64_t operator()(const ObjectId& object) const;
  };
  // What is asked of one object is asked in a row.
  [[nodiscard]] std::uint64_t hash_of(const ObjectId& object) const;
  static constexpr std::uint64_t kNotCommitted = UINT64_MAX;  // the offset of what is gathered
  [[nodiscard]] const Slot* find(const ObjectId& object) const;
  [[nodiscard]] Slot* find(const ObjectId& object);
  [[nodiscard]] Pieces* pieces_of(const ObjectId& object);
  void insert(const Slot& slot);
  // `own` is the hash that its place in the part follows from.
  void insert(Part& part, const Slot& slot, std::uint64_t own) const;

  Hash hash_;
  mutable ObjectId hashed_{};  // the last one
  mutable std::uint64_t its_hash_;
  std::array<Part, kParts> parts_;                     // whole ones, of one frame
  std::unordered_map<ObjectId, Pieces, Hash> pieces_;  // the others
};

}  // namespace gatehouse::audit
