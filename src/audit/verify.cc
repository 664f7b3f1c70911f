// SPDX-License-Identifier: Apache-2.0
#include "audit/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "audit/body_list.h"
#include "audit/log.h"
#include "audit/segment.h"
#include "base/encoding.h"

namespace gatehouse::audit {
namespace {

struct Stored {
  Digest salt{};
  std::string bytes;
  bool whole = false;
  bool is_list = false;
  std::optional<Digest> commitment = {};  // once it was asked for: many lists name the same body
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
      continued_.reset();
      for (std::size_t next = i + 1; next < names.size() && !continued_; ++next) {
        continued_ = previous_marker_of(names[next]);
      }
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

  std::optional<Digest> previous_marker_of(const std::string& name) {
    const auto file = files_.open(name, net::OpenMode::kRead);
    const auto bytes = file ? (*file)->read_at(0, kSegmentHeaderSize) : Result<std::string>("");
    const auto header = parse_segment_header(bytes.value_or(""));
    return header ? std::optional(header->previous_marker) : std::nullopt;
  }

  void segment(const std::string& name) {
    const Result<std::string> bytes = net::read_file(files_, name, 1ULL << 32);
    if (!bytes) return fail(name, 0, bytes.error().message());
    const auto header = parse_segment_header(*bytes);
    if (!header && bytes->find_first_not_of('\0') == std::string::npos) {
      // It failed, or the power did, while it was made; nothing was ever committed to it.
      report_.is_unfinished = true;
      return;
    }
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
    std::uint64_t group_at = at;
    CompactTree tree = tree_;
    const auto keep = [&] { kept_ = {report_, wanted_.size()}; };
    keep();
    const auto is_continued = [&] {
      return at == group_at && continued_ && last_marker_ == *continued_;
    };
    FrameView frame;
    while (!is_continued() && read_frame(bytes.substr(at), header, frame) == FrameState::kWhole) {
      switch (frame.type) {
        case FrameType::kEntry:
          if (frame.sequence != next_) {
            return fail(name, at,
                        fmt::format("entry {} stands where {} is due", frame.sequence, next_));
          }
          if (!entry(name, at, frame)) return;
          tree.add(leaf_hash(frame.payload));
          ++next_;
          break;
        case FrameType::kBody:
        case FrameType::kBodyList:
          body(frame);
          break;
        case FrameType::kMarker: {
          const auto marker = parse_marker(frame.payload);
          if (!marker) return fail(name, at, "a commit marker that is none");
          if (!is_second_copy(bytes.substr(at + frame.size), header, frame)) break;
          if (marker->tree_size != next_ || marker->root != tree.root()
              || marker->previous != last_marker_) {
            return fail(name, at,
                        "the tree's root in the commit marker is not that of the entries");
          }
          last_marker_ = marker->hash();
          tree_ = tree;
          for (const BodyPiece& piece : pieces_) store(piece);
          pieces_.clear();
          at += frame.size;  // and the second copy, below
          group_at = at + frame.size;
          keep();
          break;
        }
        default:
          return fail(name, at, "a frame of an unknown type");
      }
      at += frame.size;
    }
    report_.bytes += group_at;
    rest(name, bytes, header, {group_at, at});
  }

  // What lies behind the last whole group, which ends at `where.group`; reading stopped at
  // `where.stop`.
  struct Where {
    std::uint64_t group = 0;
    std::uint64_t stop = 0;
  };
  void rest(const std::string& name, std::string_view bytes, const SegmentHeader& header,
            Where where) {
    if (continued_) {
      // What lies behind the group that is continued is what a failed sync left of the next one.
      if (last_marker_ == *continued_) return forget_group();
      return fail(name, where.stop, "the checksum does not fit: bytes were changed");
    }
    const Tail tail = tail_of(bytes, where.group, header, tree_.size());
    if (tail == Tail::kScraps) {
      return fail(name, where.stop,
                  "there are bytes where nothing was written, or a write that the power cut short; "
                  "`gatehouse up` tells them apart");
    }
    if (tail == Tail::kDamaged) {
      return fail(name, where.stop, "the checksum does not fit: bytes were changed");
    }
    forget_group();
    report_.is_unfinished = tail == Tail::kUnfinished;
  }
  void forget_group() {
    const std::uint64_t bytes = report_.bytes;
    report_ = kept_.report;
    report_.bytes = bytes;
    wanted_.resize(kept_.wanted);
    pieces_.clear();
    next_ = tree_.size();
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
    auto piece = parse_body(frame.payload);
    if (!piece) return;
    piece->is_list = frame.type == FrameType::kBodyList;
    pieces_.push_back(*piece);
  }
  void store(const BodyPiece& piece) {
    Stored& stored = stored_[piece.object];
    stored.salt = piece.salt;
    stored.bytes += piece.bytes;
    stored.whole = piece.last;
    stored.is_list = stored.is_list || piece.is_list;
  }
  // Null where it is not there whole.
  Stored* stored(const ObjectId& object) {
    const auto found = stored_.find(object);
    return found == stored_.end() || !found->second.whole ? nullptr : &found->second;
  }
  static const Digest& commitment(Stored& stored) {
    if (!stored.commitment) {
      stored.commitment = stored.is_list ? list_commitment_of(stored.salt, stored.bytes)
                                         : commitment_of(stored.salt, stored.bytes);
    }
    return *stored.commitment;
  }
  // Whether each body that it names is the one that it was made with. They are no lists.
  bool is_list_of(const Stored& list, std::uint64_t size) {
    const auto parts = parse_body_list(list.bytes);
    if (!parts || size_of(*parts) != size) return false;
    return std::ranges::all_of(*parts, [this](const ListedPart& part) {
      if (part.is_text) return true;
      Stored* const body = stored(part.object);
      return body != nullptr && !body->is_list && body->bytes.size() == part.size
             && commitment(*body) == part.commitment;
    });
  }
  void commitments() {
    for (const Wanted& wanted : wanted_) {
      Stored* const body = stored(wanted.body.object);
      next_ = wanted.sequence;
      if (body == nullptr) {
        return fail(wanted.segment, wanted.offset,
                    fmt::format("its body \"{}\" is not there", printable(wanted.body.name)));
      }
      const bool is_sized = body->is_list ? is_list_of(*body, wanted.body.size)
                                          : body->bytes.size() == wanted.body.size;
      if (!is_sized || commitment(*body) != wanted.body.commitment) {
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
  std::optional<Digest> continued_;  // the marker that the segment after the one at hand follows
  CompactTree tree_;
  Digest last_marker_{};
  std::vector<Wanted> wanted_;
  std::vector<BodyPiece> pieces_;  // of the group at hand; views of the segment's bytes
  // As it was after the last whole group.
  struct Kept {
    Report report;
    std::size_t wanted = 0;
  };
  Kept kept_;
  std::map<ObjectId, Stored> stored_;
};

}  // namespace

std::string Damage::text() const {
  return fmt::format("entry {} (segment {}, byte {}): {}", sequence, segment, offset, what);
}

Report verify(net::FileSystem& files) { return Verifier(files).run(); }

}  // namespace gatehouse::audit
