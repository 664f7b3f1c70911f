// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "audit/log.h"
#include "audit/verify.h"
#include "backup/make.h"
#include "backup/restore.h"

namespace gatehouse::backup {
namespace {

namespace fs = std::filesystem;

class BackupTest : public testing::Test {
 protected:
  BackupTest() {
    std::string name = testing::TempDir() + "backup-XXXXXX";
    folder_ = mkdtemp(name.data());
    data_ = folder_ + "/data";
    file_ = folder_ + "/file.backup";
    for (const char* each : {"", "/state", "/vault", "/audit", "/volumes", "/volumes/a", "/run"}) {
      fs::create_directory(data_ + each);
    }
    write(data_ + "/state/state.db", "the state");
    write(data_ + "/vault/root.key", std::string(32, 'K'));
    write(data_ + "/vault/one.sealed", "a sealed record");
    write(data_ + "/volumes/a/notes", "remember");
    write(data_ + "/run/kills", "kills");
    write(data_ + "/run/house-key", "not for a backup");
    fs::create_symlink("/etc/passwd", data_ + "/volumes/a/link");
  }
  ~BackupTest() override { fs::remove_all(folder_); }

  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Result<Made> make(bool with_key = false) {
    return make_backup({data_, "", "1.2.3", with_key, {}}, file_);
  }
  // What opening says of a backup with these bytes.
  Error opened_with(const std::string& bytes) {
    const std::string path = folder_ + "/changed";
    write(path, bytes);
    const auto archive = Archive::open(path);
    return archive ? Error(Error::kInternal, "it was taken") : archive.error();
  }

  std::string folder_;
  std::string data_;
  std::string file_;
};

TEST_F(BackupTest, GivesBackWhatWasThere) {
  ASSERT_TRUE(make());
  struct stat about{};
  ASSERT_EQ(stat(file_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive) << archive.error().message();
  const std::string to = folder_ + "/new";
  const auto restored = restore(*archive, {to, false, ""});
  ASSERT_TRUE(restored) << restored.error().message();
  EXPECT_EQ(read(to + "/state/state.db"), "the state");
  EXPECT_EQ(read(to + "/vault/one.sealed"), "a sealed record");
  EXPECT_EQ(read(to + "/volumes/a/notes"), "remember");
  EXPECT_EQ(read(to + "/run/kills"), "kills");
  EXPECT_EQ(fs::read_symlink(to + "/volumes/a/link"), "/etc/passwd");
  EXPECT_EQ(fs::last_write_time(to + "/volumes/a/notes"),
            fs::last_write_time(data_ + "/volumes/a/notes"));
  EXPECT_FALSE(fs::exists(to + "/run/house-key"));
}

TEST_F(BackupTest, HasTheKeyOnlyWhenItIsAskedFor) {
  ASSERT_TRUE(make());
  EXPECT_EQ(read(file_).find(std::string(32, 'K')), std::string::npos);
  fs::remove(file_);
  ASSERT_TRUE(make(true));
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive);
  EXPECT_TRUE(archive->manifest().has_key);
  const std::string to = folder_ + "/new";
  EXPECT_EQ(restore(*archive, {to, false, data_ + "/vault/root.key"}).error(), Error::kInvalid);
  ASSERT_TRUE(restore(*archive, {to, false, ""}));
  EXPECT_EQ(read(to + "/vault/root.key"), std::string(32, 'K'));
}

TEST_F(BackupTest, AKeyThatWasKeptApartIsPutBack) {
  ASSERT_TRUE(make());
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive);
  const std::string to = folder_ + "/new";
  write(folder_ + "/short", "too short");
  EXPECT_EQ(restore(*archive, {to, false, folder_ + "/short"}).error(), Error::kInvalid);
  EXPECT_FALSE(fs::exists(to));
  const auto restored = restore(*archive, {to, false, data_ + "/vault/root.key"});
  ASSERT_TRUE(restored) << restored.error().message();
  EXPECT_TRUE(restored->has_key);
  EXPECT_EQ(read(to + "/vault/root.key"), std::string(32, 'K'));
}

TEST_F(BackupTest, AnyChangedByteIsNoticed) {
  ASSERT_TRUE(make());
  const std::string whole = read(file_);
  const net::Descriptor file(open(file_.c_str(), O_RDWR | O_CLOEXEC));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    const char changed = static_cast<char>(whole[at] ^ 0x20);
    ASSERT_EQ(pwrite(file.get(), &changed, 1, static_cast<off_t>(at)), 1);
    const auto archive = Archive::open(file_);
    ASSERT_FALSE(archive) << "byte " << at;
    EXPECT_TRUE(archive.error() == Error::kCorrupt || archive.error() == Error::kUnsupported)
        << "byte " << at << ": " << archive.error().message();
    ASSERT_EQ(pwrite(file.get(), &whole[at], 1, static_cast<off_t>(at)), 1);
  }
  EXPECT_TRUE(Archive::open(file_));
}

TEST_F(BackupTest, ACutOrPaddedOneIsNoticed) {
  ASSERT_TRUE(make());
  const std::string whole = read(file_);
  EXPECT_EQ(opened_with(whole + std::string(64, '\0')), Error::kCorrupt);
  for (std::size_t size = whole.size(); size-- > 0;) {
    ASSERT_EQ(truncate(file_.c_str(), static_cast<off_t>(size)), 0);
    const auto archive = Archive::open(file_);
    ASSERT_FALSE(archive) << size;
    EXPECT_EQ(archive.error(), Error::kCorrupt) << size;
  }
}

TEST_F(BackupTest, OneOfANewerGatehouseIsRefusedAsSuch) {
  ASSERT_TRUE(make());
  std::string newer = read(file_);
  newer[8] = 2;
  const Error error = opened_with(newer);
  EXPECT_EQ(error, Error::kUnsupported);
  EXPECT_NE(error.message().find("made by a newer gatehouse"), std::string::npos);
}

TEST_F(BackupTest, OfALogOfANewerGatehouseNoneIsMadeAndItSaysSo) {
  std::string newer = audit::segment_header({});
  newer[7] = '3';
  write(data_ + "/audit/00000000000000000000-0000.seg", newer);
  const auto refused = make();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_TRUE(refused.error().message().contains(
      "made by a newer gatehouse: the audit segment is of version 3"))
      << refused.error().message();
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(BackupTest, NothingIsWrittenOver) {
  ASSERT_TRUE(make());
  EXPECT_EQ(make().error(), Error::kConflict);
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive);
  write(data_ + "/state/state.db", "newer");
  EXPECT_EQ(restore(*archive, {data_, false, ""}).error(), Error::kConflict);
  EXPECT_EQ(read(data_ + "/state/state.db"), "newer");
  const auto restored = restore(*archive, {data_, true, ""});
  ASSERT_TRUE(restored) << restored.error().message();
  EXPECT_EQ(read(data_ + "/state/state.db"), "the state");
  EXPECT_EQ(read(restored->kept_aside + "/state/state.db"), "newer");
}

TEST_F(BackupTest, AHouseThatRunsIsNotReplaced) {
  write(data_ + "/run/lock", "");
  ASSERT_TRUE(make());
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive);
  const net::Descriptor lock(open((data_ + "/run/lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(restore(*archive, {data_, true, ""}).error(), Error::kConflict);
  EXPECT_EQ(read(data_ + "/state/state.db"), "the state");
}

TEST_F(BackupTest, WhatIsNoFileIsLeftOutAndTold) {
  ASSERT_EQ(mkfifo((data_ + "/volumes/a/pipe").c_str(), 0600), 0);
  const auto made = make();
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_EQ(made->left_out.size(), 1U);
  EXPECT_NE(made->left_out[0].find("volumes/a/pipe"), std::string::npos);
}

TEST_F(BackupTest, ALinkInThePlaceOfADirectoryIsNotFollowed) {
  fs::remove_all(data_ + "/vault");
  fs::create_directory_symlink("/etc", data_ + "/vault");
  EXPECT_FALSE(make());
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_FALSE(fs::exists(file_ + ".partial"));
}

TEST_F(BackupTest, OfALogOnlyWhatWasAcknowledgedIsKept) {
  const auto files = net::open_file_system(data_ + "/audit");
  ASSERT_TRUE(files);
  audit::Entry entry;
  entry.kind = audit::Kind::kNote;
  {
    const auto log = audit::Log::open(**files, {256 * 1024});
    ASSERT_TRUE(log);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE((*log)->append(*audit::encode(entry)));
      ASSERT_TRUE((*log)->commit());
    }
  }
  // Half of a group, as it lies there while it is written.
  const std::string segment = data_ + "/audit/" + audit::segment_name(0, 0);
  std::string bytes = read(segment);
  const auto header = audit::parse_segment_header(bytes);
  ASSERT_TRUE(header);
  const std::uint64_t end = audit::whole_part(bytes).end;
  std::string half;
  audit::append_frame(half, *header, audit::FrameType::kEntry, 3, *audit::encode(entry));
  bytes.replace(end, half.size(), half);
  write(segment, bytes);
  ASSERT_TRUE(make());
  const auto archive = Archive::open(file_);
  ASSERT_TRUE(archive);
  const std::string to = folder_ + "/new";
  ASSERT_TRUE(restore(*archive, {to, false, ""}));
  EXPECT_EQ(fs::file_size(to + "/audit/" + audit::segment_name(0, 0)), bytes.size());
  const auto restored = net::open_file_system(to + "/audit");
  const audit::Report report = audit::verify(**restored);
  EXPECT_TRUE(report.intact());
  EXPECT_EQ(report.entries, 3U);
  EXPECT_FALSE(report.is_unfinished);
}

TEST_F(BackupTest, ADamagedLogIsNotBackedUpAsIfItWereShorter) {
  const auto files = net::open_file_system(data_ + "/audit");
  ASSERT_TRUE(files);
  {
    const auto log = audit::Log::open(**files, {256 * 1024});
    ASSERT_TRUE(log);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE((*log)->append(*audit::encode(audit::Entry())));
      ASSERT_TRUE((*log)->commit());
    }
  }
  const std::string segment = data_ + "/audit/" + audit::segment_name(0, 0);
  std::string bytes = read(segment);
  bytes[audit::kSegmentHeaderSize + 30] ^= 1;  // in the first Entry
  write(segment, bytes);
  EXPECT_EQ(make().error(), Error::kCorrupt);
}

Member directory(const std::string& path) {
  Member member;
  member.path = path;
  member.type = Type::kDirectory;
  return member;
}
Member empty_file(const std::string& path) {
  Member member;
  member.path = path;
  member.offset = kHeaderSize;
  member.sha256 = std::string(kDigestSize, 'x');
  return member;
}
Member link_to(const std::string& path) {
  Member member;
  member.path = path;
  member.type = Type::kLink;
  member.target = "/etc";
  return member;
}
bool is_taken(std::vector<Member> members) {
  Manifest manifest;
  manifest.members = std::move(members);
  return parse_manifest(manifest_bytes(manifest), kHeaderSize).has_value();
}

TEST(BackupManifest, NamesOnlyWhatADataDirectoryHas) {
  const Member top = directory(".");
  const Member volumes = directory("volumes");
  EXPECT_TRUE(is_taken({top, volumes, empty_file("volumes/x")}));
  EXPECT_FALSE(is_taken({top, empty_file("passwd")}));
  EXPECT_FALSE(is_taken({top, volumes, empty_file("volumes/../x")}));
  EXPECT_FALSE(is_taken({top, volumes, empty_file("/etc/passwd")}));
  EXPECT_FALSE(is_taken({top, volumes, empty_file("volumes//x")}));
  EXPECT_FALSE(is_taken({top, volumes, empty_file("volumes/x"), empty_file("volumes/x")}));
  EXPECT_FALSE(is_taken({top, empty_file("volumes/x")}));
  EXPECT_FALSE(is_taken({top, volumes, link_to("volumes/x"), empty_file("volumes/x/passwd")}));
  EXPECT_FALSE(is_taken({top, directory("vault"), link_to("vault/x.sealed")}));
  EXPECT_FALSE(is_taken({top, link_to("volumes")}));
  Member far = empty_file("volumes/x");
  far.offset = 0;
  EXPECT_FALSE(is_taken({top, volumes, far}));
}

}  // namespace
}  // namespace gatehouse::backup
