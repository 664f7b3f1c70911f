// SPDX-License-Identifier: Apache-2.0
// Frames from hostile bytes, whole and byte by byte: the same frames or the same refusal.
#include <cstdlib>
#include <vector>

#include "ipc/codec.h"
#include "ipc/control_vault.h"
#include "ipc/frame.h"
#include "ipc/gateway_vault.h"
#include "ipc/sandbox.h"
#include "ipc/snapshot.h"

namespace {

using gatehouse::ipc::Frame;
using gatehouse::ipc::FrameReader;

struct Seen {
  std::vector<std::string> frames;
  bool refused = false;
  bool operator==(const Seen&) const = default;
};

void drain(FrameReader& reader, Seen& seen) {
  Frame frame;
  while (!seen.refused) {
    const auto more = reader.next(frame);
    if (!more) seen.refused = true;
    if (!more || !*more) return;
    seen.frames.push_back(std::to_string(frame.type) + ":" + std::string(frame.payload));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Seen whole;
  FrameReader first;
  first.feed(bytes);
  drain(first, whole);
  Seen pieces;
  FrameReader second;
  for (const char byte : bytes) {
    second.feed({&byte, 1});
    drain(second, pieces);
  }
  if (whole != pieces) std::abort();
  (void)gatehouse::ipc::decode<gatehouse::ipc::Lease>(bytes);
  (void)gatehouse::ipc::decode<gatehouse::ipc::DeclareRunLive>(bytes);
  (void)gatehouse::ipc::decode<gatehouse::ipc::CreateSandbox>(bytes);
  (void)gatehouse::ipc::decode<gatehouse::ipc::Snapshot>(bytes);
  return 0;
}
