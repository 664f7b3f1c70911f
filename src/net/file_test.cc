// SPDX-License-Identifier: Apache-2.0
#include "net/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "net/sim_file.h"

namespace gatehouse::net {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "gatehouse-file-XXXXXX";
    path_ = mkdtemp(pattern.data());
    files = std::move(*open_file_system(path_));
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::unique_ptr<FileSystem> files;

 private:
  std::string path_;
};

std::string letters(std::size_t size, char first) {
  std::string text(size, first);
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>(first + static_cast<int>(i % 23));
  return text;
}

// Pieces of any length, one behind the other, into a file of zeros; then by one that opens it anew.
void writes_pieces(FileSystem& files) {
  std::string expected(3 * 1024 * 1024, '\0');
  {
    const auto file = std::move(*files.open_uncached("log", OpenMode::kCreateNew));
    ASSERT_TRUE(file->write_at(0, expected));
    std::size_t at = 100;
    for (const std::size_t size : {1UL, 4096UL, 5000UL, 28UL, 4067UL, 1'100'000UL, 300UL}) {
      const std::string piece = letters(size, 'a');
      ASSERT_TRUE(file->write_at(at, piece)) << size;
      ASSERT_TRUE(file->sync());
      expected.replace(at, size, piece);
      at += size;
      ASSERT_EQ(file->read_at(0, expected.size()).value_or("?"), expected) << size;
    }
    ASSERT_TRUE(file->write_at(0, letters(7, 'A'))) << "the only one in its block so far";
    expected.replace(0, FileSystem::kBlock, letters(7, 'A') + std::string(4089, '\0'));
  }
  const auto file = std::move(*files.open_uncached("log", OpenMode::kReadWrite));
  ASSERT_TRUE(file->write_at(2'000'001, "here"));
  expected.replace(2'000'001, 4, "here");
  EXPECT_EQ(file->read_at(0, expected.size()).value_or("?"), expected);
  EXPECT_EQ((*files.open("log", OpenMode::kRead))->read_at(0, expected.size()).value_or("?"),
            expected)
      << "what others read";
}

TEST(File, IsWrittenPieceBehindPiecePastTheCache) {
  const Directory directory;
  writes_pieces(*directory.files);
}

TEST(File, IsWrittenSoInTheSimulationToo) {
  const auto files = make_sim_file_system(1);
  writes_pieces(*files);
}

}  // namespace
}  // namespace gatehouse::net
