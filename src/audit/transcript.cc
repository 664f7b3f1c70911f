// SPDX-License-Identifier: Apache-2.0
#include "audit/transcript.h"

#include <algorithm>
#include <charconv>

namespace gatehouse::audit {
namespace {

void count(std::int64_t& sum, std::string_view tag) {
  sum = std::min(kCountMost, sum + count_of(tag));
}

}  // namespace

std::int64_t count_of(std::string_view tag) {
  std::int64_t value = 0;
  const auto read = std::from_chars(tag.data(), tag.data() + tag.size(), value);
  if (read.ec == std::errc::result_out_of_range) value = tag.starts_with('-') ? 0 : kCountMost;
  return std::clamp<std::int64_t>(value, 0, kCountMost);
}

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
  // Where its messages are read, each that asks for something is on record by itself.
  if (call == "websocket") return entry.tag("websocket.read").empty();
  if (call == "llm") return !entry.tag("llm.provider_tools").empty();
  if (call == "mcp") return !entry.tag("tool").empty();
  if (call == "a2a") return !entry.tag("a2a.effect").empty();
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
    count(sum.input, step.tag("tokens.input"));
    count(sum.output, step.tag("tokens.output"));
    count(sum.cached, step.tag("tokens.cached"));
    count(sum.reasoning, step.tag("tokens.reasoning"));
    sum.estimated = sum.estimated || step.tag("tokens.estimated") == "true";
    count(sum.cost_micro_usd, step.tag("cost.micro_usd"));
    if (!step.tag("cost.unknown").empty()) ++sum.unpriced;
  }
  return sum;
}

std::string act_of(const Step& step) {
  const Entry& entry = step.entry;
  const std::string tool(entry.tag("tool"));
  if (!tool.empty()) return "tool " + tool;
  if (const auto tools = entry.tag("llm.provider_tools"); !tools.empty()) {
    return std::string("at the model's provider: ").append(tools);
  }
  if (const auto operation = entry.tag("a2a.operation"); !operation.empty()) {
    return std::string(operation).append(" at ").append(entry.tag("service"));
  }
  std::string out;
  const bool is_socket = entry.tag("call") == "websocket";
  for (const std::string_view part :
       {is_socket ? "WebSocket" : entry.tag("method"), std::string_view(" "), entry.tag("host"),
        entry.tag("path")}) {
    out += part;
  }
  return out;
}

}  // namespace gatehouse::audit
