// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "base/check.h"
#include "cli/json5_scan.h"

// Ranges lie in their parents and in order, strings decode, and what is spliced in for a string is
// there and nothing else has changed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::cli;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto nodes = scan_json5(text);
  if (!nodes) return 0;
  const Json5Node* last_string = nullptr;
  for (const Json5Node& node : *nodes) {
    CHECK(node.begin < node.end && node.end <= text.size());
    CHECK(node.key_begin <= node.key_end && node.key_end <= node.begin);
    if (node.parent != Json5Node::kNone) {
      const Json5Node& parent = (*nodes)[node.parent];
      CHECK(parent.begin < node.begin && node.end < parent.end);
    }
    if (node.type != Json5Type::kString) continue;
    CHECK(json5_string(text.substr(node.begin, node.end - node.begin)));
    last_string = &node;
  }
  if (last_string == nullptr || size > 4096) return 0;
  std::string spliced(text.substr(0, last_string->begin));
  spliced += "\"${NAME}\"";
  spliced += text.substr(last_string->end);
  const auto again = scan_json5(spliced);
  CHECK(again && again->size() == nodes->size());
  const Json5Node& changed = (*again)[static_cast<std::size_t>(last_string - nodes->data())];
  CHECK(json5_string(std::string_view(spliced).substr(changed.begin, changed.end - changed.begin))
        == std::string("${NAME}"));
  for (std::size_t i = 0; i < nodes->size(); ++i) CHECK((*nodes)[i].key == (*again)[i].key);
  return 0;
}
