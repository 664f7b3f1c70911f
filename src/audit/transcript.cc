// SPDX-License-Identifier: Apache-2.0
#include "audit/transcript.h"

#include <charconv>

namespace gatehouse::audit {
namespace {

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string_view Step::tag(std::string_view key) const {
  if (settled) {
    if (const std::string_view value = settled->tag(key); !value.empty()) return value;
  }
  return entry.tag(key);
}

const BodyRef* Step::body(std::string_view name) const {
  for (const Entry* of : {settled ? &*settled : nullptr, &entry}) {
    if (of == nullptr) continue;
    for (const BodyRef& body : of->bodies) {
      if (body.name == name) return &body;
    }
  }
  return nullptr;
}

std::string_view Step::state() const {
  if (entry.kind != Kind::kIntent) return entry.kind == Kind::kRefused ? "refused" : "";
  return settled ? settled->tag("state") : "in doubt";
}

bool Step::is_effect() const {
  if (entry.kind != Kind::kIntent) return false;
  const std::string_view call = entry.tag("call");
  if (call == "tunnel") return true;
  if (call == "llm") return false;
  if (call == "mcp") return !entry.tag("tool").empty();
  const std::string_view method = entry.tag("method");
  return method != "GET" && method != "HEAD" && method != "OPTIONS" && method != "TRACE";
}

void Transcript::add(Entry entry) {
  if (entry.exchange) {
    const std::string id = entry.exchange->text();
    const auto found = by_exchange_.find(id);
    Step* const step = found == by_exchange_.end() ? nullptr : &steps_[found->second];
    const bool is_begun = step != nullptr && step->entry.kind == Kind::kIntent;
    if (is_begun && entry.kind == Kind::kSettled) {
      step->settled = std::move(entry);
      return;
    }
    if (is_begun && entry.kind == Kind::kVaultUse) {
      step->uses.push_back(std::move(entry));
      return;
    }
    if (step != nullptr && !is_begun && entry.kind == Kind::kIntent) {
      // The vault's line to the log was the faster one.
      step->uses.push_back(std::move(step->entry));
      step->entry = std::move(entry);
      return;
    }
    if (entry.kind == Kind::kIntent || entry.kind == Kind::kVaultUse) {
      by_exchange_.try_emplace(id, steps_.size());
    }
  }
  steps_.push_back({std::move(entry), std::nullopt, {}});
}

Tokens Transcript::tokens() const {
  Tokens sum;
  for (const Step& step : steps_) {
    sum.input += number(step.tag("tokens.input"));
    sum.output += number(step.tag("tokens.output"));
    sum.cached += number(step.tag("tokens.cached"));
    sum.reasoning += number(step.tag("tokens.reasoning"));
    sum.estimated = sum.estimated || step.tag("tokens.estimated") == "true";
  }
  return sum;
}

std::string act_of(const Step& step) {
  const Entry& entry = step.entry;
  const std::string tool(entry.tag("tool"));
  if (!tool.empty()) return "tool " + tool;
  std::string out;
  for (const std::string_view part :
       {entry.tag("method"), std::string_view(" "), entry.tag("host"), entry.tag("path")}) {
    out += part;
  }
  return out;
}

}  // namespace gatehouse::audit
