// SPDX-License-Identifier: Apache-2.0
#include "audit/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "audit/body_index.h"
#include "audit/body_list.h"
#include "audit/segment_room.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"

namespace gatehouse::audit {
namespace {

constexpr std::size_t kMarkersSize = 512;  // at most, of a group

struct Segment {
  std::string name;
  SegmentHeader header;
  std::unique_ptr<net::File> file;  // for reading
  std::uint64_t used = 0;           // where the next frame goes
};

}  // namespace

std::string segment_name(std::uint64_t first_sequence, std::uint32_t attempt) {
  return fmt::format("{:020}-{:04}.seg", first_sequence, attempt);
}

namespace {

void write_body_header(char* out, const BodyPiece& piece) {
  std::memcpy(out, piece.object.data(), piece.object.size());
  std::memcpy(out + 16, piece.salt.data(), piece.salt.size());
  out[48] = piece.last ? '\1' : '\0';
  for (std::size_t i = 0; i < 7; ++i) {
    out[49 + i] = static_cast<char>(static_cast<std::uint8_t>(piece.offset >> (8 * i)));
  }
}

}  // namespace

std::string body_payload(const BodyPiece& piece) {
  std::string out(kBodyHeaderSize, '\0');
  write_body_header(out.data(), piece);
  out += piece.bytes;
  return out;
}

std::optional<BodyPiece> parse_body(std::string_view payload) {
  if (payload.size() < kBodyHeaderSize) return std::nullopt;
  BodyPiece piece;
  std::memcpy(piece.object.data(), payload.data(), piece.object.size());
  std::memcpy(piece.salt.data(), payload.data() + 16, piece.salt.size());
  piece.last = payload[48] == '\1';
  for (std::size_t i = 7; i > 0; --i) {
    piece.offset = piece.offset << 8 | static_cast<std::uint8_t>(payload[48 + i]);
  }
  piece.bytes = payload.substr(kBodyHeaderSize);
  return piece;
}

class Log::Impl {
 public:
  Impl(net::FileSystem& files, LogOptions options)
      : files_(files), options_(options), room_(files, options.segment_bytes) {}

  Result<void> recover() {
    for (const std::string& name : TRY(files_.list("."))) {
      if (name.ends_with(".seg")) names_.push_back(name);
    }
    for (std::size_t i = 0; i < names_.size(); ++i) {
      // A segment that was left behind after a failed sync may hold a group that its successor
      // holds again: only what its successor continues was committed.
      continued_.reset();
      for (std::size_t next = i + 1; next < names_.size() && !continued_; ++next) {
        continued_ = TRY(previous_marker_of(names_[next]));
      }
      const Result<void> read = recover_segment(names_[i]);
      if (!read) return Failure(read.error().in("audit segment " + names_[i]));
    }
    // What is written from now on may be nothing that a reader of that version understands.
    const bool is_earlier =
        !segments_.empty() && segments_.back().header.version < kSegmentFormat.latest;
    if (is_earlier) abandon_segment();
    return {};
  }

  // Nothing when the segment has no header: it failed while it was made.
  Result<std::optional<Digest>> previous_marker_of(const std::string& name) {
    const auto file = TRY(files_.open(name, net::OpenMode::kRead));
    const auto header = parse_segment_header(TRY(file->read_at(0, kSegmentHeaderSize)));
    // Before anything is dropped for the want of it.
    if (!header && header.error() == Error::kUnsupported) return Failure(header.error().in(name));
    return header ? std::optional(header->previous_marker) : std::nullopt;
  }

  Result<std::uint64_t> append(std::string_view entry) {
    if (entry.size() > kEntryMost) return failure(Error::kTooLarge, "an Entry that is too large");
    const std::uint64_t sequence = size_ + group_entries_++;
    gather(FrameType::kEntry, sequence, {}, entry);
    return sequence;
  }
  Result<void> append_body(const BodyPiece& piece) {
    if (piece.bytes.size() > kPayloadMost - kBodyHeaderSize) {
      return failure(Error::kTooLarge, "a piece of a body that is too large");
    }
    if (piece.is_list && (piece.offset != 0 || !piece.last || !parse_body_list(piece.bytes))) {
      return failure(Error::kCorrupt, "a body's list of parts that is none");
    }
    const auto before = bodies_.extent(piece.object);
    const BodyIndex::Extent after{piece.offset + piece.bytes.size(), piece.last};
    if (before && (after.length < before->length || after == *before)) return {};
    if (before && before->is_whole) {
      return failure(Error::kConflict, "a piece of a body that is complete already");
    }
    if (piece.offset != (before ? before->length : 0)) {
      return failure(Error::kConflict, "a piece of a body that does not follow what is there");
    }
    bodies_.gather(piece.object, after);
    std::array<char, kBodyHeaderSize> header;
    write_body_header(header.data(), piece);
    gather(piece.is_list ? FrameType::kBodyList : FrameType::kBody, 0,
           {header.data(), header.size()}, piece.bytes);
    return {};
  }

  Result<void> commit() {
    if (group_frames_.empty()) return {};
    CompactTree tree = tree_;
    for (const GroupFrame& frame : group_frames_) {
      if (frame.type == FrameType::kEntry) tree.add(leaf_hash(payload_of(frame)));
    }
    const Marker marker{size_, size_ + group_entries_, tree.root(), last_marker_};
    for (int tries = 0;; ++tries) {
      if (segments_.empty()
          || segments_.back().used + group_.size() + kMarkersSize > options_.segment_bytes) {
        TRY(new_segment());
      }
      const Result<void> written = write_group(marker);
      if (written) break;
      // What the kernel dropped after a failed sync cannot be had again by a second one: never
      // retried in place.
      log_error("an audit segment failed and is left behind",
                {{"segment", segments_.back().name}, {"why", written.error().message()}});
      abandon_segment();
      if (tries == 2) return Failure(written.error());
    }
    tree_ = tree;
    size_ = marker.tree_size;
    last_marker_ = marker.hash();
    group_frames_.clear();
    group_entries_ = 0;
    group_.clear();
    return {};
  }

  void prepare() {
    if (segments_.empty() || segments_.back().used < options_.segment_bytes / 2) return;
    if (room_.is_ready() || no_room_in_ == segments_.size()) return;
    if (room_.grow()) return;
    // The room that there is belongs to what is committed; asked for again in the next segment.
    room_.drop();
    no_room_in_ = segments_.size();
  }

  // Errors: kNotFound, kCorrupt.
  Result<std::string> entry(std::uint64_t sequence) {
    if (sequence < entries_.size()) return TRY(frame_at(entries_[sequence])).payload;
    for (const GroupFrame& frame : group_frames_) {
      if (frame.type == FrameType::kEntry && frame.sequence == sequence) {
        return std::string(payload_of(frame));
      }
    }
    return failure(Error::kNotFound, fmt::format("the log has no entry {}", sequence));
  }
  // Errors: kNotFound.
  Result<std::vector<Place>> places_of(const ObjectId& object) const {
    std::vector<Place> places = bodies_.places(object);
    if (places.empty()) return failure(Error::kNotFound, "the log has no body " + to_hex(object));
    return places;
  }

  struct Framed {
    FrameType type = FrameType::kEntry;
    std::string payload;
  };
  Result<Framed> frame_at(const Place& place) {
    Segment& segment = segments_[place.segment];
    const std::size_t size = kFrameHeaderSize + (place.size + 7) / 8 * 8;
    const std::string bytes = TRY(segment.file->read_at(place.offset, size));
    FrameView frame;
    if (read_frame(bytes, segment.header, frame) != FrameState::kWhole) {
      return failure(Error::kCorrupt, fmt::format("audit segment {} is damaged at byte {}",
                                                  segment.name, place.offset));
    }
    return Framed{frame.type, std::string(frame.payload)};
  }

  // The list that a body is; nothing of one that is none.
  Result<std::optional<std::string>> list_of(const ObjectId& object) {
    constexpr std::size_t kTypeAt = 8;  // in the frame's header
    const std::vector<Place> places = TRY(places_of(object));
    if (places.size() != 1) return std::nullopt;  // a list is one frame
    const auto& file = segments_[places[0].segment].file;
    const std::string type = TRY(file->read_at(places[0].offset + kTypeAt, 1));
    if (type != std::string(1, static_cast<char>(FrameType::kBodyList))) return std::nullopt;
    return TRY(frame_at(places[0])).payload.substr(kBodyHeaderSize);
  }

  Result<std::uint64_t> plain_size(const ObjectId& object) const {
    std::uint64_t size = 0;
    for (const Place& place : TRY(places_of(object))) size += place.size - kBodyHeaderSize;
    return size;
  }
  Result<std::string> read_part(const ListedPart& part, BodyRange range) {
    // Where it is not, each part could cost the reading of much that it does not say.
    if (TRY(plain_size(part.object)) != part.size) {
      return failure(Error::kCorrupt, "a body that a list names is not of the size that it says");
    }
    return read_plain(part.object, range);
  }
  // Of a body that is no list.
  Result<std::string> read_plain(const ObjectId& object, BodyRange range) {
    std::string out;
    std::uint64_t offset = range.offset;
    for (const Place& place : TRY(places_of(object))) {
      const std::uint64_t size = place.size - kBodyHeaderSize;
      if (offset >= size) {
        offset -= size;
        continue;
      }
      const Framed frame = TRY(frame_at(place));
      const auto piece = parse_body(frame.payload);
      if (!piece || frame.type != FrameType::kBody) {
        return failure(Error::kCorrupt, "a body's frame is none");
      }
      out += piece->bytes.substr(offset, range.most - out.size());
      offset = 0;
      if (out.size() >= range.most) break;
    }
    return out;
  }

  Result<void> recover_segment(const std::string& name) {
    Segment segment;
    segment.name = name;
    segment.file = TRY(files_.open(name, net::OpenMode::kReadWrite));
    const std::uint64_t size = TRY(segment.file->size());
    const std::string bytes = TRY(segment.file->read_at(0, size));
    const Result<SegmentHeader> header = parse_segment_header(bytes);
    if (!header) {
      // What failed while it was made left no header; nothing was ever committed to it. What a
      // newer gatehouse has just begun is not that.
      const bool is_newer = header.error() == Error::kUnsupported;
      if (!is_newer && !holds_any_frame(bytes)) return drop(segment);
      return Failure(header.error());
    }
    segment.header = *header;
    if (header->first_sequence != size_ || header->previous_marker != last_marker_) {
      return failure(
          Error::kCorrupt,
          fmt::format("it does not continue the log: it begins with entry {}, {} was due",
                      header->first_sequence, size_));
    }
    segments_.push_back(std::move(segment));
    return recover_frames(bytes);
  }

  Result<void> recover_frames(std::string_view bytes) {
    Segment& segment = segments_.back();
    const std::size_t index = segments_.size() - 1;
    struct Found {
      FrameView frame;
      std::uint64_t offset;
    };
    std::vector<Found> group;
    std::uint64_t at = kSegmentHeaderSize;
    segment.used = at;
    while (true) {
      if (continued_ && last_marker_ == *continued_) return {};
      FrameView frame;
      if (read_frame(bytes.substr(at), segment.header, frame) != FrameState::kWhole) {
        if (continued_ || tail_of(bytes, segment.used, segment.header, size_) == Tail::kDamaged) {
          return failure(Error::kCorrupt,
                         fmt::format("damaged at byte {}, at entry {}, though it was committed", at,
                                     size_ + entries_in(group)));
        }
        break;
      }
      if (frame.type != FrameType::kMarker) {
        group.push_back({frame, at});
        at += frame.size;
        continue;
      }
      const std::optional<Marker> marker = parse_marker(frame.payload);
      if (!marker) return failure(Error::kCorrupt, fmt::format("a marker at byte {} is none", at));
      at += frame.size;
      // A group whose second copy never arrived was not finished; where it was changed since, the
      // first is enough to go on, and the verifier tells.
      if (!is_second_copy(bytes.substr(at), segment.header, frame) && !continued_
          && tail_of(bytes, segment.used, segment.header, size_) != Tail::kDamaged) {
        continue;
      }
      at = std::min<std::uint64_t>(at + frame.size, bytes.size());
      for (const Found& found : group) {
        const Place place{static_cast<std::uint32_t>(index),
                          static_cast<std::uint32_t>(found.frame.payload.size()), found.offset};
        if (found.frame.type == FrameType::kEntry) {
          TRY(index_entry(place, found.frame.sequence, found.frame.payload));
        } else {
          index_body(place, found.frame.payload);
        }
      }
      if (marker->tree_size != size_ || marker->root != tree_.root()
          || marker->previous != last_marker_) {
        return failure(Error::kCorrupt,
                       fmt::format("the marker after entry {} does not fit what is "
                                   "before it",
                                   size_));
      }
      last_marker_ = marker->hash();
      group.clear();
      segment.used = at;
    }
    return clear_tail(bytes);
  }

  net::FileSystem& files_;
  LogOptions options_;
  // What the next segment will be, zeros so far: never read, and no part of the log.
  SegmentRoom room_;
  std::size_t no_room_in_ = 0;       // the how-manieth segment it was in that none could be made
  std::optional<Digest> continued_;  // the marker that the segment after the one at hand follows
  std::vector<std::string> names_;
  std::vector<Segment> segments_;
  std::unique_ptr<net::File> writer_;  // of the last one, once something is written to it
  std::uint64_t size_ = 0;
  CompactTree tree_;
  Digest last_marker_{};
  std::vector<Place> entries_;
  BodyIndex bodies_;
  std::map<RunId, std::vector<std::uint64_t>> runs_;
  std::vector<std::uint64_t> acts_;
  std::map<TraceId, std::vector<RunId>> own_traces_;
  std::map<TraceId, std::vector<RunId>> linked_traces_;
  std::optional<RunId> noted_run_;  // of the last Entry of a Run, and its trace
  TraceId noted_trace_;
  // What is gathered, as it will stand in a segment: frames whose headers are still empty.
  struct GroupFrame {
    FrameType type;
    std::uint64_t sequence;
    std::size_t at;  // of its header, in group_
    std::uint32_t size;
  };
  std::vector<GroupFrame> group_frames_;
  std::uint64_t group_entries_ = 0;
  std::string group_;

 private:
  // One more frame, whose payload is `head` and `rest`.
  void gather(FrameType type, std::uint64_t sequence, std::string_view head,
              std::string_view rest) {
    const std::size_t size = head.size() + rest.size();
    group_frames_.push_back({type, sequence, group_.size(), static_cast<std::uint32_t>(size)});
    group_.append(kFrameHeaderSize, '\0').append(head).append(rest);
    group_.append(frame_padding(size), '\0');
  }
  std::string_view payload_of(const GroupFrame& frame) const {
    return std::string_view(group_).substr(frame.at + kFrameHeaderSize, frame.size);
  }
  template <class Group>
  static std::size_t entries_in(const Group& group) {
    return static_cast<std::size_t>(
        std::count_if(group.begin(), group.end(),
                      [](const auto& found) { return found.frame.type == FrameType::kEntry; }));
  }
  static bool holds_any_frame(std::string_view bytes) {
    return bytes.size() > kSegmentHeaderSize
           && bytes.substr(kSegmentHeaderSize).find_first_not_of('\0') != std::string_view::npos;
  }
  Result<void> drop(Segment& segment) {
    segment.file.reset();
    TRY(files_.remove(segment.name));
    return files_.sync_directory(".");
  }
  // What a crash left behind the last marker is zeroed, so that it can never be taken for frames.
  Result<void> clear_tail(std::string_view bytes) {
    Segment& segment = segments_.back();
    const std::string_view tail = bytes.substr(std::min<std::size_t>(segment.used, bytes.size()));
    if (tail.find_first_not_of('\0') == std::string_view::npos) return {};
    TRY(segment.file->write_at(segment.used, std::string(tail.size(), '\0')));
    return segment.file->sync();
  }
  Result<void> index_entry(const Place& place, std::uint64_t sequence, std::string_view bytes) {
    if (sequence != size_) {
      return failure(Error::kCorrupt,
                     fmt::format("entry {} stands where {} was due", sequence, size_));
    }
    tree_.add(leaf_hash(bytes));
    note_entry(place, sequence, outline(bytes));
    ++size_;
    return {};
  }
  void note_entry(const Place& place, std::uint64_t sequence, const Result<Outline>& entry) {
    entries_.push_back(place);
    if (!entry) return;
    if (entry->run) index_run(*entry, sequence);
    if (is_act(entry->kind)) acts_.push_back(sequence);
  }
  void index_run(const Outline& entry, std::uint64_t sequence) {
    runs_[*entry.run].push_back(sequence);
    const bool is_known = noted_run_ == entry.run && noted_trace_ == entry.trace;
    if (is_known && entry.linked_trace.empty()) return;
    noted_run_ = entry.run;
    noted_trace_ = entry.trace;
    const auto note = [&](std::map<TraceId, std::vector<RunId>>& traces, const TraceId& trace) {
      std::vector<RunId>& runs = traces[trace];
      if (std::find(runs.begin(), runs.end(), *entry.run) == runs.end()) {
        runs.push_back(*entry.run);
      }
    };
    if (entry.trace != TraceId{}) note(own_traces_, entry.trace);
    if (entry.linked_trace.empty()) return;
    // A traceparent: 00-<trace id>-<parent id>-<flags>.
    const auto linked = TraceId::parse(
        entry.linked_trace.substr(std::min<std::size_t>(3, entry.linked_trace.size()), 32));
    if (linked) note(linked_traces_, *linked);
  }
  void index_body(const Place& place, std::string_view payload) {
    const auto piece = parse_body(payload);
    if (!piece) return;
    bodies_.commit(piece->object, place, {piece->offset + piece->bytes.size(), piece->last});
  }

  Result<void> new_segment() {
    std::uint32_t attempt = 0;
    const auto taken = [&](const std::string& name) {
      return std::find(names_.begin(), names_.end(), name) != names_.end();
    };
    while (taken(segment_name(size_, attempt))) ++attempt;
    const std::string name = segment_name(size_, attempt);
    names_.push_back(name);
    const Result<void> made = make_segment(name);
    if (made) return {};
    // Half of one would hold the very room that is missing.
    if (files_.remove(name)) names_.pop_back();
    room_.drop();
    return Failure(made.error().in(fmt::format("a new segment of {} MiB for the audit log",
                                               options_.segment_bytes / (1024 * 1024))));
  }
  Result<void> make_segment(const std::string& name) {
    Segment segment;
    segment.name = name;
    fill_random(segment.header.salt);
    segment.header.first_sequence = size_;
    segment.header.tree_size = size_;
    segment.header.previous_marker = last_marker_;
    const std::uint64_t wanted =
        std::max<std::uint64_t>(options_.segment_bytes, group_.size() + 4096 + kSegmentHeaderSize);
    auto writer = TRY(room_.take(name, wanted));
    TRY(writer->write_at(0, segment_header(segment.header)));
    TRY(writer->sync());
    TRY(files_.sync_directory("."));
    segment.file = TRY(files_.open(name, net::OpenMode::kRead));
    segment.used = kSegmentHeaderSize;
    segments_.push_back(std::move(segment));
    writer_ = std::move(writer);
    return {};
  }
  void abandon_segment() {
    // It stays where it is for reading, at the length that is committed; the next one continues
    // after it.
    writer_.reset();
    segments_.back().used = options_.segment_bytes + 1;
  }

  // The gathered group, to where it is durable.
  Result<void> put(const Segment& segment) {
    if (!writer_) writer_ = TRY(files_.open_uncached(segment.name, net::OpenMode::kReadWrite));
    TRY(writer_->write_at(segment.used, group_));
    return writer_->sync();
  }

  Result<void> write_group(const Marker& marker) {
    Segment& segment = segments_.back();
    const std::size_t index = segments_.size() - 1;
    for (const GroupFrame& frame : group_frames_) {
      seal_frame(group_.data() + frame.at, segment.header, frame.type, frame.sequence, frame.size);
    }
    const std::size_t frames_end = group_.size();
    const std::string payload = marker_payload(marker);
    append_frame(group_, segment.header, FrameType::kMarker, marker.tree_size, payload);
    append_frame(group_, segment.header, FrameType::kMarker, marker.tree_size, payload);
    const Result<void> written = put(segment);
    if (!written) {
      group_.resize(frames_end);
      return written;
    }
    for (const GroupFrame& frame : group_frames_) {
      const Place place{static_cast<std::uint32_t>(index), frame.size, segment.used + frame.at};
      if (frame.type == FrameType::kEntry) {
        note_entry(place, frame.sequence, outline_of_checked(payload_of(frame)));
      }
      if (frame.type != FrameType::kEntry) index_body(place, payload_of(frame));
    }
    segment.used += group_.size();
    return {};
  }
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(net::FileSystem& files, LogOptions options) {
  auto impl = std::make_unique<Impl>(files, options);
  TRY(impl->recover());
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

Result<std::uint64_t> Log::append(std::string_view entry) { return impl_->append(entry); }
Result<void> Log::append_body(const BodyPiece& piece) { return impl_->append_body(piece); }
Result<void> Log::commit() { return impl_->commit(); }
void Log::prepare() { impl_->prepare(); }
std::size_t Log::gathered_bytes() const { return impl_->group_.size(); }
std::uint64_t Log::size() const { return impl_->size_; }
Digest Log::root() const { return impl_->tree_.root(); }

Result<std::string> Log::read(std::uint64_t sequence) {
  if (sequence >= impl_->entries_.size()) {
    return failure(Error::kNotFound, fmt::format("the log has no entry {}", sequence));
  }
  return TRY(impl_->frame_at(impl_->entries_[sequence])).payload;
}

Result<std::string> Log::read_gathered(std::uint64_t sequence) { return impl_->entry(sequence); }

Result<std::string> Log::read_body(const ObjectId& object, std::uint64_t offset, std::size_t most) {
  const auto list = TRY(impl_->list_of(object));
  if (!list) return impl_->read_plain(object, {offset, most});
  return read_listed(*list, {offset, most}, [this](const ListedPart& part, BodyRange range) {
    return impl_->read_part(part, range);
  });
}

Result<std::uint64_t> Log::body_size(const ObjectId& object) {
  if (const auto list = TRY(impl_->list_of(object))) return size_of(TRY(parse_body_list(*list)));
  return impl_->plain_size(object);
}

std::vector<RunId> Log::with_trace(const TraceId& trace) const {
  std::vector<RunId> runs;
  for (const auto* traces : {&impl_->own_traces_, &impl_->linked_traces_}) {
    const auto found = traces->find(trace);
    if (found == traces->end()) continue;
    runs.insert(runs.end(), found->second.begin(), found->second.end());
  }
  return runs;
}

const std::vector<std::uint64_t>& Log::acts() const { return impl_->acts_; }

const std::vector<std::uint64_t>& Log::of_run(const RunId& run) const {
  static const std::vector<std::uint64_t> kNone;
  const auto found = impl_->runs_.find(run);
  return found == impl_->runs_.end() ? kNone : found->second;
}

}  // namespace gatehouse::audit
