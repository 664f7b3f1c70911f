// SPDX-License-Identifier: Apache-2.0
#include "audit/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "audit/segment.h"
#include "audit/verify.h"
#include "base/random.h"

namespace gatehouse::audit {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = "/tmp/gatehouse-audit-XXXXXX";
    path = mkdtemp(pattern.data());
    files = std::move(*net::open_file_system(path));
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
  std::unique_ptr<net::FileSystem> files;
};

// The directory on a disk of a size that the test sets.
class SmallDisk : public net::FileSystem {
 public:
  explicit SmallDisk(Directory& directory) : directory_(directory) {}
  std::uint64_t room = UINT64_MAX;  // in bytes

  Result<std::unique_ptr<net::File>> open(std::string_view path, net::OpenMode mode) override {
    auto file = TRY(directory_.files->open(path, mode));
    return std::make_unique<OnDisk>(*this, std::move(file));
  }
  Result<std::unique_ptr<net::File>> open_uncached(std::string_view path,
                                                   net::OpenMode mode) override {
    auto file = TRY(directory_.files->open_uncached(path, mode));
    return std::make_unique<OnDisk>(*this, std::move(file));
  }
  Result<std::vector<std::string>> list(std::string_view path) override {
    return directory_.files->list(path);
  }
  Result<void> make_directory(std::string_view path) override {
    return directory_.files->make_directory(path);
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    return directory_.files->rename(from, to);
  }
  Result<void> remove(std::string_view path) override { return directory_.files->remove(path); }
  Result<void> sync_directory(std::string_view path) override {
    return directory_.files->sync_directory(path);
  }

 private:
  class OnDisk : public net::File {
   public:
    OnDisk(SmallDisk& disk, std::unique_ptr<net::File> file)
        : disk_(disk), file_(std::move(file)) {}
    Result<std::string> read_at(std::uint64_t offset, std::size_t size) override {
      return file_->read_at(offset, size);
    }
    Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
      const std::uint64_t size = *file_->size();
      const std::uint64_t end = offset + bytes.size();
      const std::uint64_t free = disk_.room - std::min(disk_.room, disk_.used());
      if (end <= size || end - size <= free) return file_->write_at(offset, bytes);
      if (size + free > offset) TRY(file_->write_at(offset, bytes.substr(0, size + free - offset)));
      return failure(Error::kExhausted, "no space left on the test's disk");
    }
    Result<void> sync() override { return file_->sync(); }
    Result<std::uint64_t> size() override { return file_->size(); }
    Result<void> truncate(std::uint64_t size) override { return file_->truncate(size); }

   private:
    SmallDisk& disk_;
    std::unique_ptr<net::File> file_;
  };
  [[nodiscard]] std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory_.path)) {
      sum += file.file_size();
    }
    return sum;
  }
  Directory& directory_;
};

Entry sample(int number) {
  Entry entry;
  entry.kind = number % 2 == 0 ? Kind::kIntent : Kind::kSettled;
  entry.wall_ns = 1'700'000'000'000'000'000 + number;
  entry.role = "gateway";
  entry.tenant = "acme";
  entry.run = RunId::from_bytes({1, static_cast<std::uint8_t>(number % 3)});
  entry.trace.bytes = {9, 8, 7};
  entry.add("number", std::to_string(number));
  return entry;
}

constexpr LogOptions kSmall{64 * 1024};

TEST(Entry, ComesBackAsItWas) {
  Entry entry = sample(4);
  entry.exchange = ExchangeId::fresh();
  entry.linked_trace = "00-a-b-01";
  entry.bodies.push_back({"request", {1, 2}, 77, {3}});
  const auto back = decode(*encode(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, entry);
}

TEST(Entry, OfANewerGatehouseIsToldFromADamagedOne) {
  const std::string whole = *encode(sample(1));
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {  // its version, its kind
    std::string newer = whole;
    newer[at] = 77;
    const auto refused = decode(newer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Error::kUnsupported);
    EXPECT_TRUE(refused.error().message().contains("made by a newer gatehouse"));
  }
  std::string none = whole;
  none[0] = 0;
  EXPECT_EQ(decode(none).error(), Error::kCorrupt);
}

TEST(Entry, EveryTruncationIsRefused) {
  const std::string bytes = *encode(sample(1));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode(bytes + "x"));
}

TEST(CompactTree, AgreesWithTheRfcsRecursion) {
  // RFC 6962 section 2.1, by its own definition.
  const auto root = [](this auto self, const std::vector<Digest>& leaves) -> Digest {
    if (leaves.empty()) return sha256("");
    if (leaves.size() == 1) return leaves[0];
    std::size_t split = 1;
    while (split * 2 < leaves.size()) split *= 2;
    const auto middle = leaves.begin() + static_cast<std::ptrdiff_t>(split);
    return node_hash(self({leaves.begin(), middle}), self({middle, leaves.end()}));
  };
  CompactTree tree;
  std::vector<Digest> leaves;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(tree.root(), root(leaves)) << i;
    leaves.push_back(leaf_hash(std::to_string(i)));
    tree.add(leaves.back());
  }
}

TEST(Crc32c, AgreesWithTheRfcsVectors) {
  EXPECT_EQ(crc32c(0, std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720 appendix B.4
  EXPECT_EQ(crc32c(0, std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c(crc32c(0, "12345"), "6789"), 0xe3069283U);
}

TEST(Log, IsThereAgainAfterItIsOpenedAgain) {
  const Directory directory;
  const ObjectId object{5};
  Digest root{};
  {
    auto log = Log::open(*directory.files, kSmall);
    ASSERT_TRUE(log);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(*(*log)->append(*encode(sample(i))), static_cast<std::uint64_t>(i));
      if (i == 50)
        ASSERT_TRUE((*log)->append_body({object, Digest{1}, false, std::string(30'000, 'b')}));
      if (i == 60) ASSERT_TRUE((*log)->append_body({object, Digest{1}, true, "the end", 30'000}));
      if (i % 7 == 0) ASSERT_TRUE((*log)->commit());
    }
    ASSERT_TRUE((*log)->commit());
    root = (*log)->root();
  }
  auto log = Log::open(*directory.files, kSmall);
  ASSERT_TRUE(log) << log.error().message();
  EXPECT_EQ((*log)->size(), 100u);
  EXPECT_EQ((*log)->root(), root);
  EXPECT_EQ(decode(*(*log)->read(42))->tag("number"), "42");
  EXPECT_EQ((*log)->of_run(RunId::from_bytes({1, 0})).size(), 34u);
  EXPECT_EQ(*(*log)->body_size(object), 30'007u);
  EXPECT_EQ(*(*log)->read_body(object, 29'999, 100), "bthe end");
  EXPECT_GT(directory.files->list(".")->size(), 0u);
}

TEST(Log, GoesOnAsSoonAsASegmentFitsOnADiskThatWasFull) {
  Directory directory;
  SmallDisk disk(directory);
  auto log = Log::open(disk, kSmall);
  ASSERT_TRUE(log);
  disk.room = kSmall.segment_bytes * 3 / 2;
  int written = 0;
  Result<void> committed;
  for (; committed && written < 10'000; ++written) {
    ASSERT_TRUE((*log)->append(*encode(sample(written))));
    committed = (*log)->commit();
  }
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error(), Error::kExhausted);
  EXPECT_TRUE(committed.error().message().contains("a new segment")) << committed.error().message();
  for (int i = 0; i < 5; ++i) EXPECT_FALSE((*log)->commit());
  EXPECT_EQ(disk.list(".")->size(), 1u) << "what does not fit takes no room";
  disk.room = kSmall.segment_bytes * 2 + 1024;
  ASSERT_TRUE((*log)->commit());
  EXPECT_EQ((*log)->size(), static_cast<std::uint64_t>(written));
  log->reset();
  const Report report = verify(*directory.files);
  EXPECT_TRUE(report.intact());
  EXPECT_EQ(report.entries, static_cast<std::uint64_t>(written));
}

TEST(Verify, TakesASegmentWhoseMakingWasCutShortForNoDamageIfItIsTheLast) {
  const Directory directory;
  {
    auto log = Log::open(*directory.files, kSmall);
    ASSERT_TRUE((*log)->append(*encode(sample(0))));
    ASSERT_TRUE((*log)->commit());
  }
  const auto half = *directory.files->open(segment_name(1, 0), net::OpenMode::kCreateNew);
  ASSERT_TRUE(half->write_at(0, std::string(40'000, '\0')));
  EXPECT_TRUE(verify(*directory.files).intact());
  ASSERT_TRUE(half->write_at(30'000, "a frame that lost its header"));
  EXPECT_FALSE(verify(*directory.files).intact());
}

// A segment whose body pieces have zeros where later ones have their offset, as all had at first.
std::string segment_without_offsets(Entry entry, const ObjectId& object,
                                    const std::vector<std::string>& pieces) {
  const SegmentHeader header{};
  const Digest salt{5};
  std::string out = segment_header(header);
  std::string whole;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    whole += pieces[i];
    std::string payload(reinterpret_cast<const char*>(object.data()), object.size());
    payload.append(reinterpret_cast<const char*>(salt.data()), salt.size());
    payload += i + 1 == pieces.size() ? '\1' : '\0';
    payload.append(7, '\0');
    append_frame(out, header, FrameType::kBody, 0, payload + pieces[i]);
  }
  entry.bodies.push_back({"request", object, whole.size(), commitment_of(salt, whole)});
  const std::string bytes = *encode(entry);
  append_frame(out, header, FrameType::kEntry, 0, bytes);
  CompactTree tree;
  tree.add(leaf_hash(bytes));
  const std::string marker = marker_payload({0, 1, tree.root(), {}});
  append_frame(out, header, FrameType::kMarker, 1, marker);
  append_frame(out, header, FrameType::kMarker, 1, marker);
  out.resize(64 * 1024, '\0');
  return out;
}

TEST(Log, ReadsBodiesWhosePiecesDoNotSayTheirOffset) {
  const Directory directory;
  const ObjectId object{1, 2};
  const auto file = *directory.files->open(segment_name(0, 0), net::OpenMode::kCreateNew);
  ASSERT_TRUE(
      file->write_at(0, segment_without_offsets(sample(0), object, {"first ", "second ", "3rd"})));
  {
    auto log = Log::open(*directory.files, kSmall);
    ASSERT_TRUE(log) << log.error().message();
    EXPECT_EQ((*log)->body_size(object).value_or(0), 16U);
    EXPECT_EQ((*log)->read_body(object, 0, 100).value_or(""), "first second 3rd");
    EXPECT_EQ((*log)->read_body(object, 8, 6).value_or(""), "cond 3");
    ASSERT_TRUE((*log)->append(*encode(sample(1)))) << "and the log goes on";
    ASSERT_TRUE((*log)->commit());
  }
  const Report report = verify(*directory.files);
  EXPECT_TRUE(report.intact());
  EXPECT_EQ(report.bodies, 1U);
  EXPECT_EQ(report.entries, 2U);
}

TEST(Log, RefusesASegmentOfANewerGatehouseAndLeavesEverySegmentAsItIs) {
  const Directory directory;
  std::string first;
  {
    auto log = Log::open(*directory.files, kSmall);
    ASSERT_TRUE((*log)->append(*encode(sample(0))));
    ASSERT_TRUE((*log)->commit());
    first = directory.files->list(".")->front();
  }
  {
    const auto file = *directory.files->open(first, net::OpenMode::kReadWrite);
    const std::string bytes = *file->read_at(0, 64 * 1024);
    // What a gatehouse of this version would drop, because no marker is behind it.
    ASSERT_TRUE(file->write_at(bytes.find_last_not_of('\0') + 9, "torn"));
  }
  const auto file = *directory.files->open(segment_name(1, 0), net::OpenMode::kCreateNew);
  const std::string header = segment_header({});
  ASSERT_TRUE(parse_segment_header(header));
  std::string newer = header;
  newer[7] = '3';
  ASSERT_TRUE(file->write_at(0, newer + std::string(1024, '\0')));  // just begun: no frame yet
  const std::string before = *net::read_file(*directory.files, first, 1 << 20);

  const auto log = Log::open(*directory.files, kSmall);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error(), Error::kUnsupported);
  EXPECT_TRUE(log.error().message().contains(
      "made by a newer gatehouse: the audit segment is of version 3, and this gatehouse reads up "
      "to 2; run that one, or restore a backup"))
      << log.error().message();
  EXPECT_EQ(*net::read_file(*directory.files, first, 1 << 20), before);
  EXPECT_TRUE(net::read_file(*directory.files, segment_name(1, 0), 4096)->starts_with(newer));
  const Report report = verify(*directory.files);
  ASSERT_TRUE(report.damage);
}

TEST(Log, DropsWhatWasNeverCommitted) {
  const Directory directory;
  std::string name;
  {
    auto log = Log::open(*directory.files, kSmall);
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE((*log)->append(*encode(sample(i))));
      ASSERT_TRUE((*log)->commit());
    }
    name = directory.files->list(".")->front();
  }
  // A torn write: the start of a frame, without a marker behind it.
  auto file = directory.files->open(name, net::OpenMode::kReadWrite);
  const std::string bytes = *(*file)->read_at(0, 64 * 1024);
  const std::size_t end = bytes.find_last_not_of('\0') + 1;
  ASSERT_TRUE((*file)->write_at((end + 7) / 8 * 8, std::string(33, '\x11')));
  auto log = Log::open(*directory.files, kSmall);
  ASSERT_TRUE(log) << log.error().message();
  EXPECT_EQ((*log)->size(), 2u);
  ASSERT_TRUE((*log)->append(*encode(sample(2))));
  ASSERT_TRUE((*log)->commit());
  EXPECT_TRUE(verify(*directory.files).intact());
}

TEST(Verify, FindsEveryFlippedByteAndNamesItsEntry) {
  const Directory directory;
  std::string payload;  // of the fourth Entry
  {
    auto log = Log::open(*directory.files, {16 * 1024});
    for (int i = 0; i < 6; ++i) {
      Entry entry = sample(i);
      const std::string body = "body " + std::to_string(i);
      const ObjectId object{static_cast<std::uint8_t>(i)};
      entry.bodies.push_back({"request", object, body.size(), commitment_of(Digest{7}, body)});
      ASSERT_TRUE((*log)->append_body({object, Digest{7}, true, body}));
      ASSERT_TRUE((*log)->append(*encode(entry)));
      if (i == 3) payload = *encode(entry);
      if (i % 2 == 1) ASSERT_TRUE((*log)->commit());
    }
  }
  const Report whole = verify(*directory.files);
  ASSERT_TRUE(whole.intact()) << whole.damage->text();
  EXPECT_EQ(whole.entries, 6u);
  EXPECT_EQ(whole.bodies, 6u);
  const std::string name = directory.files->list(".")->front();
  auto file = std::move(*directory.files->open(name, net::OpenMode::kReadWrite));
  const std::string bytes = *file->read_at(0, 16 * 1024);
  const std::size_t at_payload = bytes.find(payload);
  ASSERT_NE(at_payload, std::string::npos);
  const std::size_t begin = at_payload - kFrameHeaderSize;
  const std::size_t end = (at_payload + payload.size() + 7) / 8 * 8;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    ASSERT_TRUE(file->write_at(at, std::string(1, static_cast<char>(bytes[at] ^ 0x20))));
    const Report report = verify(*directory.files);
    EXPECT_FALSE(report.intact()) << "a flipped byte at " << at << " is not found";
    if (at >= begin && at < end && report.damage) {
      EXPECT_EQ(report.damage->sequence, 3u) << at - begin << ": " << report.damage->text();
      EXPECT_EQ(report.damage->offset, begin) << at - begin << ": " << report.damage->text();
      EXPECT_TRUE(report.damage->text().starts_with("entry 3 ")) << report.damage->text();
    }
    ASSERT_TRUE(file->write_at(at, std::string(1, bytes[at])));
  }
  EXPECT_TRUE(verify(*directory.files).intact());
}

TEST(Log, IsNotOpenedForWritingWhenWhatWasCommittedIsDamaged) {
  const Directory directory;
  {
    auto log = Log::open(*directory.files, kSmall);
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE((*log)->append(*encode(sample(i))));
      ASSERT_TRUE((*log)->commit());
    }
  }
  const std::string name = directory.files->list(".")->front();
  auto file = std::move(*directory.files->open(name, net::OpenMode::kReadWrite));
  const std::string bytes = *file->read_at(0, 64 * 1024);
  const std::size_t end = bytes.find_last_not_of('\0');
  // The last copy of the last marker, the frame before it, and the first frame.
  for (const std::size_t at : {end, end - 120, std::size_t{200}}) {
    ASSERT_TRUE(file->write_at(at, std::string(1, static_cast<char>(bytes[at] ^ 1))));
    const auto log = Log::open(*directory.files, kSmall);
    if (at == end) {
      EXPECT_TRUE(log) << "one copy of the marker is enough";
    } else {
      ASSERT_FALSE(log) << at;
      EXPECT_EQ(log.error(), Error::kCorrupt);
      EXPECT_TRUE(log.error().message().contains(name)) << log.error().message();
    }
    ASSERT_TRUE(file->write_at(0, bytes));
  }
}

}  // namespace
}  // namespace gatehouse::audit
