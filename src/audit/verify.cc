// SPDX-License-Identifier: Apache-2.0
#include "audit/verify.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "audit/log.h"
#include "audit/segment.h"
#include "base/encoding.h"

namespace gatehouse::audit {
namespace {

struct Stored {
  Digest salt{};
  std::string bytes;
  bool whole = false;
};

class Verifier {
 public:
  explicit Verifier(net::FileSystem& files) : files_(files) {}

  Report run() {
    std::vector<std::string> names;
    const auto listed = files_.list(".");
    if (!listed) {
      fail("", 0, listed.error().message());
      return report_;
    }
    for (const std::string& name : *listed) {
      if (name.ends_with(".seg")) names.push_back(name);
    }
    for (std::size_t i = 0; i < names.size() && !report_.damage; ++i) {
      until_ = i + 1 < names.size() ? first_sequence_of(names[i + 1]) : UINT64_MAX;
      segment(names[i]);
    }
    if (!report_.damage) commitments();
    report_.root = tree_.root();
    return report_;
  }

 private:
  void fail(const std::string& name, std::uint64_t offset, std::string what) {
    if (!report_.damage) report_.damage = Damage{name, offset, next_, std::move(what)};
  }

  void segment(const std::string& name) {
    const Result<std::string> bytes = net::read_file(files_, name, 1ULL << 32);
    if (!bytes) return fail(name, 0, bytes.error().message());
    const auto header = parse_segment_header(*bytes);
    if (!header) return fail(name, 0, header.error().message());
    if (header->first_sequence != next_ || header->tree_size != next_
        || header->previous_marker != last_marker_) {
      return fail(name, 0,
                  fmt::format("it begins with entry {} where {} is due: a part is missing",
                              header->first_sequence, next_));
    }
    ++report_.segments;
    frames(name, *bytes, *header);
  }

  void frames(const std::string& name, std::string_view bytes, const SegmentHeader& header) {
    std::uint64_t at = kSegmentHeaderSize;
    CompactTree tree = tree_;
    std::uint64_t group_entries = 0;
    int copies = 2;  // of the last marker
    while (at < bytes.size()) {
      FrameView frame;
      const FrameState state = read_frame(bytes.substr(at), header, frame);
      if (state == FrameState::kEnd) break;
      if (state == FrameState::kBroken) {
        return fail(name, at,
                    "the checksum does not fit: bytes were changed or never written whole");
      }
      switch (frame.type) {
        case FrameType::kEntry:
          if (frame.sequence != next_) {
            return fail(name, at,
                        fmt::format("entry {} stands where {} is due", frame.sequence, next_));
          }
          if (!entry(name, at, frame)) return;
          tree.add(leaf_hash(frame.payload));
          ++next_;
          ++group_entries;
          break;
        case FrameType::kBody:
          body(frame);
          break;
        case FrameType::kMarker: {
          const auto marker = parse_marker(frame.payload);
          if (!marker) return fail(name, at, "a commit marker that is none");
          if (group_entries == 0 && copies == 1 && marker->hash() == last_marker_) {
            copies = 2;
            break;
          }
          if (marker->tree_size > until_) return;  // left behind after a failed sync
          if (copies != 2) return fail(name, at, "a commit marker stands alone");
          if (marker->tree_size != next_ || marker->root != tree.root()
              || marker->previous != last_marker_) {
            return fail(name, at,
                        "the tree's root in the commit marker is not that of the entries");
          }
          last_marker_ = marker->hash();
          tree_ = tree;
          group_entries = 0;
          copies = 1;
          break;
        }
        default:
          return fail(name, at, "a frame of an unknown type");
      }
      at += frame.size;
    }
    report_.bytes += at;
    if (group_entries > 0) return fail(name, at, "the last entries have no commit marker");
    if (copies != 2) return fail(name, at, "the second copy of the last commit marker is missing");
    if (bytes.substr(at).find_first_not_of('\0') != std::string_view::npos) {
      return fail(name, at, "there are bytes where nothing was written");
    }
  }

  bool entry(const std::string& name, std::uint64_t at, const FrameView& frame) {
    const Result<Entry> decoded = decode(frame.payload);
    if (!decoded) {
      fail(name, at, decoded.error().message());
      return false;
    }
    ++report_.entries;
    if (decoded->kind == Kind::kIntent) ++report_.exchanges;
    for (const BodyRef& body : decoded->bodies) wanted_.push_back({body, next_, name, at});
    return true;
  }
  void body(const FrameView& frame) {
    const auto piece = parse_body(frame.payload);
    if (!piece) return;
    Stored& stored = stored_[piece->object];
    stored.salt = piece->salt;
    stored.bytes += piece->bytes;
    stored.whole = piece->last;
  }
  void commitments() {
    for (const Wanted& wanted : wanted_) {
      const auto found = stored_.find(wanted.body.object);
      next_ = wanted.sequence;
      if (found == stored_.end() || !found->second.whole) {
        return fail(wanted.segment, wanted.offset,
                    fmt::format("its body \"{}\" is not there", printable(wanted.body.name)));
      }
      const Stored& stored = found->second;
      if (stored.bytes.size() != wanted.body.size
          || commitment_of(stored.salt, stored.bytes) != wanted.body.commitment) {
        return fail(wanted.segment, wanted.offset,
                    fmt::format("its body \"{}\" is not the one it was written with",
                                printable(wanted.body.name)));
      }
      ++report_.bodies;
    }
  }

  struct Wanted {
    BodyRef body;
    std::uint64_t sequence;
    std::string segment;
    std::uint64_t offset;
  };
  net::FileSystem& files_;
  Report report_;
  std::uint64_t next_ = 0;
  std::uint64_t until_ = UINT64_MAX;
  CompactTree tree_;
  Digest last_marker_{};
  std::vector<Wanted> wanted_;
  std::map<ObjectId, Stored> stored_;
};

}  // namespace

std::string Damage::text() const {
  return fmt::format("entry {} (segment {}, byte {}): {}", sequence, segment, offset, what);
}

Report verify(net::FileSystem& files) { return Verifier(files).run(); }

}  // namespace gatehouse::audit
