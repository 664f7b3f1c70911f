// SPDX-License-Identifier: Apache-2.0
// A Run's story whose Entries and bodies are hostile: an agent chose what a body says, and the
// log's reader what an Entry does. The text shows no control character but newline and tab; the
// JSON is JSON. The first byte chooses how the bytes become Entries.
#include "audit/transcript.h"
#include "base/check.h"
#include "wire/json.h"

using namespace gatehouse;
using namespace gatehouse::audit;

namespace {

Entry exchange(std::string_view call, std::string_view bytes) {
  Entry entry;
  entry.kind = Kind::kIntent;
  entry.exchange = ExchangeId::from_bytes({1});
  entry.add("call", call);
  entry.add("llm.model", bytes.substr(0, 64));
  entry.add("path", bytes.size() % 2 == 0 ? bytes : "/v1/chat/completions");
  entry.add("method", "POST");
  entry.add("llm.provider", "openai");
  entry.add("llm.input.in", "request");
  entry.add("llm.answer.in", "response");
  entry.add("tool", call == "llm" ? "" : "echo");
  entry.add("status", bytes.substr(0, 3));
  entry.add("duration_us", bytes.substr(0, 20));
  entry.add("state", "done");
  for (const char* name :
       {"a2a.answer", "a2a.said", "llm.input", "llm.reasoning", "llm.text", "llm.tool_calls",
        "request", "response", "tool.arguments", "tool.result"}) {
    entry.bodies.push_back({name, {}, bytes.size(), {}});
  }
  return entry;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Transcript story;
  if (data[0] % 3 == 0) {
    const auto entry = decode(bytes);
    if (!entry) return 0;
    story.add(*entry);
  } else {
    Entry entry = exchange(data[0] % 3 == 1 ? "llm" : "mcp", bytes);
    story.add(entry);
    entry.kind = Kind::kSettled;
    story.add(std::move(entry));
  }
  const auto fetch = [&](const BodyRef&) -> Result<std::string> { return std::string(bytes); };
  for (const bool whole : {false, true}) {
    for (const char c : story.text(fetch, whole)) {
      CHECK(static_cast<std::uint8_t>(c) >= 0x20 || c == '\n' || c == '\t');
    }
  }
  CHECK(wire::scan_object(story.json(fetch)));
  return 0;
}
