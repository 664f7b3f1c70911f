// SPDX-License-Identifier: Apache-2.0
// Any bytes as a log of one segment: the verifier and recovery never crash, recovery is whole or
// refused, and what recovery made of it verifies.
#include <string_view>

#include "audit/log.h"
#include "audit/verify.h"
#include "base/check.h"
#include "net/sim_file.h"

using namespace gatehouse;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto disk = net::make_sim_file_system(1);
  {
    auto file = disk->open(audit::segment_name(0, 0), net::OpenMode::kCreateNew);
    CHECK((*file)->write_at(0, {reinterpret_cast<const char*>(data), size}));
  }
  const audit::Report before = audit::verify(*disk);
  std::uint64_t entries = 0;
  {
    const auto log = audit::Log::open(*disk, {16 * 1024});
    if (!log) {
      CHECK(!before.intact());
      return 0;
    }
    entries = (*log)->size();
    for (std::uint64_t i = 0; i < entries; ++i) CHECK((*log)->read(i));
  }
  const audit::Report after = audit::verify(*disk);
  if (before.intact()) CHECK(after.intact() && before.entries == entries);
  return 0;
}
