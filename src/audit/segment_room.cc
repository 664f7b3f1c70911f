// SPDX-License-Identifier: Apache-2.0
#include "audit/segment_room.h"

#include <algorithm>
#include <array>

namespace gatehouse::audit {
namespace {

constexpr std::string_view kSpareName = "next";  // what an earlier process left is written over

// As O_DIRECT wants it.
alignas(net::FileSystem::kBlock) std::array<char, 1024 * 1024> g_zeros{};

// Returns how many bytes were written.
Result<std::uint64_t> write_zeros(net::File& file, std::uint64_t at, std::uint64_t end) {
  const auto part = std::min<std::uint64_t>(g_zeros.size(), end - at);
  TRY(file.write_at(at, {g_zeros.data(), part}));
  return part;
}

}  // namespace

Result<void> SegmentRoom::grow() {
  if (!spare_) {
    spare_ = TRY(files_.open_uncached(kSpareName, net::OpenMode::kCreate));
    made_ = 0;
  }
  made_ += TRY(write_zeros(*spare_, made_, usual_));
  return spare_->sync();
}

void SegmentRoom::drop() {
  spare_.reset();
  (void)files_.remove(kSpareName);  // one that is there is written over
}

Result<std::unique_ptr<net::File>> SegmentRoom::take(const std::string& name, std::uint64_t bytes) {
  if (spare_ && made_ == bytes) {
    TRY(files_.rename(kSpareName, name));
    return std::move(spare_);
  }
  auto file = TRY(files_.open_uncached(name, net::OpenMode::kCreateNew));
  for (std::uint64_t at = 0; at < bytes;) at += TRY(write_zeros(*file, at, bytes));
  TRY(file->sync());
  return file;
}

}  // namespace gatehouse::audit
