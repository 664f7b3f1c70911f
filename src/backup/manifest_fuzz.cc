// SPDX-License-Identifier: Apache-2.0
// Any bytes as a backup's header, trailer and manifest: what is accepted names only paths inside of
// a data directory, and is written as it was read.
#include <string_view>

#include "backup/manifest.h"
#include "base/check.h"

using namespace gatehouse;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(backup::check_header(bytes.substr(0, backup::kHeaderSize)));
  if (const auto trailer = backup::parse_trailer(bytes.substr(0, backup::kTrailerSize), size)) {
    CHECK(trailer->offset + trailer->size + backup::kTrailerSize == size);
  }
  std::uint64_t end = backup::kHeaderSize;
  if (size > 0) end += data[0];
  auto manifest = backup::parse_manifest(bytes.substr(size > 0 ? 1 : 0), end);
  if (!manifest) return 0;
  for (const backup::Member& member : manifest->members) {
    CHECK(!member.path.starts_with('/') && !member.path.starts_with("../")
          && !member.path.contains("/../"));
  }
  CHECK(backup::parse_manifest(backup::manifest_bytes(*manifest), end));
  return 0;
}
