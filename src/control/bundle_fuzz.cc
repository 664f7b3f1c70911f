// SPDX-License-Identifier: Apache-2.0
// What is handed to control as the config and its files, and what lies in the state store as an
// object's definition: refused, or read as what is written again to the same.
#include "base/check.h"
#include "control/bundle.h"
#include "control/house_secrets.h"
#include "control/memory.h"
#include "control/objects.h"

using namespace gatehouse;
using namespace gatehouse::control;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto memory = sealed_memory("fuzz", bytes);
  CHECK(memory);
  (void)config_of_bundle(*memory);
  (void)secrets_of_memory(*memory);
  if (size < 1) return 0;
  const auto kind = static_cast<Kind>(data[0] % kKinds);
  const std::string_view definition = std::string_view(bytes).substr(1);
  if (const auto object = object_from(kind, "acme", "claw", definition)) {
    const std::string written = definition_of(*object);
    const auto again = object_from(kind, "acme", "claw", written);
    CHECK(again && definition_of(*again) == written);
  }
  (void)with_placeholders(definition, {{"mail", "v"}});
  return 0;
}
