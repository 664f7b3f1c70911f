// SPDX-License-Identifier: Apache-2.0
// Entries, frames and bodies from hostile bytes: refused, or written again to the same bytes.
#include <cstdlib>

#include "audit/body_list.h"
#include "audit/log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::audit;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto entry = decode(bytes)) {
    const auto again = encode(*entry);
    if (again && *again != bytes) std::abort();
  }
  SegmentHeader header;
  FrameView frame;
  (void)read_frame(bytes, header, frame);
  (void)tail_of(bytes, 0, header, 0);
  (void)parse_segment_header(bytes);
  (void)parse_body(bytes);
  if (const auto parts = parse_body_list(bytes)) {
    std::string again;
    for (const ListedPart& part : *parts) append_part(again, part);
    if (again != bytes) std::abort();
  }
  (void)parse_marker(bytes);
  return 0;
}
