// SPDX-License-Identifier: Apache-2.0
#include "audit/body_list.h"

#include <gtest/gtest.h>

#include <cstring>

#include "audit/log.h"
#include "audit/segment.h"
#include "audit/verify.h"
#include "net/sim_file.h"

namespace gatehouse::audit {
namespace {

constexpr std::string_view kFirst = R"({"role":"user","content":"hello"})";
constexpr std::string_view kSecond = R"({"role":"assistant","content":"good day"})";

ObjectId object_of(std::uint8_t number) { return {number}; }
Digest salt_of(std::uint8_t number) { return {number, 1}; }

ListedPart part_of(std::uint8_t number, std::string_view bytes) {
  return {.object = object_of(number),
          .size = bytes.size(),
          .commitment = commitment_of(salt_of(number), bytes)};
}
ListedPart text_of(std::string_view text) {
  return {.size = text.size(), .is_text = true, .text = text};
}

// A conversation of two messages, by reference.
std::string conversation() {
  std::string list;
  for (const ListedPart& part :
       {text_of("["), part_of(1, kFirst), text_of(","), part_of(2, kSecond), text_of("]")}) {
    append_part(list, part);
  }
  return list;
}
const std::string kWhole = "[" + std::string(kFirst) + "," + std::string(kSecond) + "]";

constexpr LogOptions kSmall{64 * 1024};

class Lists : public testing::Test {
 protected:
  std::unique_ptr<net::SimFileSystem> disk = net::make_sim_file_system(1);
  net::FileSystem& files = *disk;

  std::unique_ptr<Log> open() { return std::move(*Log::open(files, kSmall)); }

  // An Entry whose body is that list, and the bodies that it names, in groups of their own.
  void write(Log& log, const std::string& list, std::uint64_t size) {
    EXPECT_TRUE(log.append_body({object_of(1), salt_of(1), true, kFirst}));
    EXPECT_TRUE(log.append_body({object_of(2), salt_of(2), true, kSecond}));
    EXPECT_TRUE(log.commit());
    EXPECT_TRUE(log.append_body({object_of(9), salt_of(9), true, list, 0, true}));
    Entry entry;
    entry.kind = Kind::kIntent;
    entry.role = "gateway";
    entry.bodies.push_back({"request", object_of(9), size, list_commitment_of(salt_of(9), list)});
    EXPECT_TRUE(log.append(*encode(entry)));
    EXPECT_TRUE(log.commit());
  }
  void write(const std::string& list, std::uint64_t size) { write(*open(), list, size); }

  // Changes the frame of a body, checksum and all, as whoever can write the disk might.
  void forge(std::string_view bytes, std::string_view by) {
    const std::string name = segment_name(0, 0);
    std::string segment = *net::read_file(files, name, 1 << 20);
    const std::size_t at = segment.find(bytes);
    ASSERT_NE(at, std::string::npos);
    const std::size_t frame = at - kBodyHeaderSize - kFrameHeaderSize;
    std::uint32_t size = 0;
    std::memcpy(&size, segment.data() + frame, sizeof size);
    const auto type = static_cast<FrameType>(segment[frame + 8]);
    segment.replace(at, by.size(), by);
    seal_frame(segment.data() + frame, *parse_segment_header(segment), type, 0, size);
    ASSERT_TRUE((*files.open(name, net::OpenMode::kReadWrite))->write_at(0, segment));
  }
};

TEST(BodyList, ComesBackAsItWasAndNotCutShort) {
  const std::string list = conversation();
  const auto parts = parse_body_list(list);
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->size(), 5U);
  EXPECT_EQ(size_of(*parts), kWhole.size());
  EXPECT_EQ((*parts)[1].object, object_of(1));
  EXPECT_EQ((*parts)[3].commitment, commitment_of(salt_of(2), kSecond));
  EXPECT_EQ((*parts)[4].text, "]");
  std::size_t whole = 0;
  for (std::size_t size = 0; size < list.size(); ++size) {
    if (const auto cut = parse_body_list(list.substr(0, size))) ++whole;
  }
  EXPECT_EQ(whole, 5U) << "between two parts alone";
  EXPECT_FALSE(parse_body_list("\2"));
  ListedPart endless = part_of(1, kFirst);
  endless.size = UINT64_MAX;
  std::string more;
  append_part(more, endless);
  EXPECT_FALSE(parse_body_list(more)) << "the sum would begin anew";
}

TEST_F(Lists, AreReadAsWhatTheySayFromAnyByteOn) {
  write(conversation(), kWhole.size());
  const auto log = open();
  EXPECT_EQ(log->body_size(object_of(9)), kWhole.size());
  for (std::size_t from = 0; from <= kWhole.size(); ++from) {
    for (const std::size_t most : {std::size_t{1}, std::size_t{30}, kWhole.size()}) {
      ASSERT_EQ(log->read_body(object_of(9), from, most), kWhole.substr(from, most)) << from;
    }
  }
  EXPECT_EQ(log->read_body(object_of(2), 0, 1000), kSecond) << "a part is a body too";
  const Report report = verify(files);
  EXPECT_TRUE(report.intact()) << report.damage->text();
  EXPECT_EQ(report.bodies, 1U);
}

TEST_F(Lists, ABodyThatAListNamesIsAsGoodAsTheOneThatWasSaid) {
  write(conversation(), kWhole.size());
  forge(kSecond, R"({"role":"assistant","content":"good bye"})");
  const Report report = verify(files);
  ASSERT_FALSE(report.intact());
  EXPECT_TRUE(report.damage->what.contains("\"request\" is not the one")) << report.damage->what;
}

TEST_F(Lists, AChangedListIsFoundToo) {
  write(conversation(), kWhole.size());
  std::string changed = conversation();
  changed.back() = '}';
  forge(conversation(), changed);
  EXPECT_FALSE(verify(files).intact());
}

TEST_F(Lists, NameBodiesOfTheLogThatAreWholeAndNoLists) {
  std::string missing;
  append_part(missing, part_of(5, kFirst));
  std::string nested;
  append_part(nested, {.object = object_of(9), .size = kWhole.size()});
  std::string longer;
  ListedPart part = part_of(1, kFirst);
  part.size += 1;
  append_part(longer, part);
  for (const std::string& list : {missing, nested, longer}) {
    disk = net::make_sim_file_system(2);
    write(*std::move(*Log::open(*disk, kSmall)), list, size_of(*parse_body_list(list)));
    EXPECT_FALSE(verify(*disk).intact());
    EXPECT_FALSE((*Log::open(*disk, kSmall))->read_body(object_of(9), 0, 1000));
  }
}

TEST_F(Lists, WhatIsNoListIsNotTakenForOne) {
  const auto log = open();
  EXPECT_FALSE(log->append_body({object_of(9), salt_of(9), true, "no list", 0, true}));
  EXPECT_FALSE(log->append_body({object_of(9), salt_of(9), false, conversation(), 0, true}));
  EXPECT_TRUE(log->append_body({object_of(9), salt_of(9), true, conversation(), 0, true}));
}

// A reader of the first version would find frames that it does not know.
TEST_F(Lists, StandInNoSegmentOfTheVersionBefore) {
  SegmentHeader before;
  before.version = 1;
  std::string segment = segment_header(before);
  segment.resize(kSmall.segment_bytes, '\0');
  Entry entry;
  const std::string bytes = *encode(entry);
  std::string group;
  append_frame(group, before, FrameType::kEntry, 0, bytes);
  CompactTree tree;
  tree.add(leaf_hash(bytes));
  const std::string marker = marker_payload({0, 1, tree.root(), {}});
  for (int i = 0; i < 2; ++i) append_frame(group, before, FrameType::kMarker, 1, marker);
  segment.replace(kSegmentHeaderSize, group.size(), group);
  {
    const auto file = *files.open(segment_name(0, 0), net::OpenMode::kCreateNew);
    ASSERT_TRUE(file->write_at(0, segment));
  }
  write(conversation(), kWhole.size());
  EXPECT_EQ(*net::read_file(files, segment_name(0, 0), 1 << 20), segment);
  const std::string after = *net::read_file(files, segment_name(1, 0), 1 << 20);
  EXPECT_EQ(parse_segment_header(after)->version, 2U);
  EXPECT_EQ(open()->read_body(object_of(9), 0, 1000), kWhole);
  EXPECT_TRUE(verify(files).intact());
}

}  // namespace
}  // namespace gatehouse::audit
