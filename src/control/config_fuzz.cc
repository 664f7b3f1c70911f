// SPDX-License-Identifier: Apache-2.0
// Any bytes as gatehouse.yaml: a config or problems with a place, and what is accepted names its
// objects once.
#include <set>

#include "base/check.h"
#include "control/config.h"

using namespace gatehouse;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config =
      control::decode_config(text, [](const std::string& path) -> Result<std::string> {
        return failure(Error::kNotFound, path);
      });
  if (!config) {
    CHECK(!config.error().empty());
    return 0;
  }
  std::set<std::string> names;
  for (const control::Object& object : config->objects()) {
    CHECK(names
              .insert(std::to_string(static_cast<int>(control::kind_of(object))) + "\n"
                      + control::tenant_of(object) + "\n" + control::name_of(object))
              .second);
  }
  return 0;
}
