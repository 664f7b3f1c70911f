// SPDX-License-Identifier: Apache-2.0
// The Transcript for people.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "audit/read_again.h"
#include "audit/transcript.h"
#include "base/encoding.h"
#include "base/time.h"
#include "wire/json.h"

namespace gatehouse::audit {
namespace {

constexpr std::size_t kShownMost = 600;  // bytes of a body, unless the whole is asked for
constexpr std::string_view kIndent = "             ";

std::string seconds(double seconds) { return fmt::format("{:.3f} s", seconds); }

// By clocks that may say anything.
double seconds_since(std::int64_t began_ns, std::int64_t at_ns) {
  return (static_cast<double>(at_ns) - static_cast<double>(began_ns)) / 1e9;
}

// 12345 -> 12,345.
std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

class Writer {
 public:
  Writer(const FetchBody& fetch, bool whole) : fetch_(fetch), whole_(whole) {}

  void line(std::string_view text) { out_ += printable(text) + "\n"; }
  void head(double since, std::string_view label, std::string_view text) {
    out_ += fmt::format("{:>10}  {:<9} {}\n", fmt::format("+{}", seconds(since)), label,
                        one_line(text));
  }
  void detail(std::string_view label, std::string_view text) {
    if (text.empty()) return;
    std::string shown = printable(text.substr(0, whole_ ? text.size() : kShownMost));
    if (shown.ends_with('\n')) shown.pop_back();
    const std::string margin = fmt::format("{}{:<11}", kIndent, "");
    for (std::size_t at = shown.find('\n'); at != std::string::npos; at = shown.find('\n', at)) {
      shown.insert(++at, margin);
      at += margin.size();
    }
    out_ += fmt::format("{}{:<11}{}\n", kIndent, label, shown);
    if (!whole_ && text.size() > kShownMost) {
      out_ += fmt::format("{}[{} of {} bytes; --full shows all]\n", margin, kShownMost,
                          grouped(static_cast<std::int64_t>(text.size())));
    }
  }
  void body(std::string_view label, const BodyRef* body) {
    if (body == nullptr) return;
    const Result<std::string> bytes = fetch_(*body);
    detail(label, bytes ? *bytes
                        : fmt::format("[{} bytes, not readable: {}]", body->size,
                                      bytes.error().message()));
  }
  void said(std::string_view label, const Result<std::string>& text) {
    detail(label, text ? *text : fmt::format("[not readable: {}]", text.error().message()));
  }
  [[nodiscard]] const FetchBody& fetch() const { return fetch_; }
  [[nodiscard]] std::string text() && { return std::move(out_); }

 private:
  static std::string one_line(std::string_view text) {
    std::string out = printable(text);
    std::replace(out.begin(), out.end(), '\n', ' ');
    return out;
  }
  const FetchBody& fetch_;
  bool whole_;
  std::string out_;
};

// Micro-dollars -> $1.234567.
std::string dollars(std::int64_t micro) {
  return fmt::format("${}.{:06}", grouped(micro / 1'000'000), micro % 1'000'000);
}

std::string cost_text(const Tokens& tokens) {
  std::string text = ", " + dollars(tokens.cost_micro_usd);
  if (tokens.unpriced > 0) text += fmt::format(" and {} of unknown price", tokens.unpriced);
  return text;
}

std::string tokens_text(const Step& step) {
  if (step.tag("tokens.input").empty()) return "";
  std::string text =
      fmt::format("{} tokens in, {} out", grouped(count_of(step.tag("tokens.input"))),
                  grouped(count_of(step.tag("tokens.output"))));
  if (step.tag("tokens.estimated") == "true") text += " (estimated)";
  if (const auto cost = step.tag("cost.micro_usd"); !cost.empty()) {
    text += ", " + dollars(count_of(cost));
  }
  if (!step.tag("cost.unknown").empty()) text += ", price unknown";
  return text;
}

std::string ending_of(const Step& step) {
  std::string text(step.state());
  if (const auto status = step.tag("status"); !status.empty()) {
    text += fmt::format(", status {}", status);
  }
  if (const auto took = step.tag("duration_us"); !took.empty()) {
    text += ", " + seconds(static_cast<double>(count_of(took)) / 1e6);
  }
  if (const std::string tokens = tokens_text(step); !tokens.empty()) text += ", " + tokens;
  return text;
}

// What a call of a model said, by the name of the body that it is or would be.
std::map<std::string, Result<std::string>, std::less<>> said_in(const Step& step,
                                                                const FetchBody& fetch) {
  std::map<std::string, Result<std::string>, std::less<>> said;
  for (const Entry* of : {step.settled ? &*step.settled : nullptr, &step.entry}) {
    if (of == nullptr) continue;
    for (const BodyRef& body : of->bodies) {
      if (body.name.starts_with("llm.")) said.try_emplace(body.name, fetch(body));
    }
    for (Again& again : read_again(*of, fetch)) {
      said.try_emplace(std::move(again.name), std::move(again.text));
    }
  }
  return said;
}

// What the model was newly told; instructions (system, developer) are the same each time.
void tell_input(Writer& out, const Result<std::string>& text) {
  const auto messages = text ? wire::scan_array(*text) : Failure(text.error());
  if (!messages) return out.said("input", text);
  for (const wire::JsonValue& value : *messages) {
    const auto message = wire::scan_object(value.raw);
    if (!message) continue;
    const std::string role = message->string("role").value_or("");
    if (role == "system" || role == "developer") continue;
    out.detail(role, message->string("text").value_or(""));
  }
}

void tell_tool_calls(Writer& out, const Result<std::string>& text) {
  const auto calls = text ? wire::scan_array(*text) : Failure(text.error());
  if (!calls) return out.said("calls", text);
  for (const wire::JsonValue& value : *calls) {
    const auto call = wire::scan_object(value.raw);
    if (!call) continue;
    out.detail("calls", fmt::format("{} {}", call->string("name").value_or("?"),
                                    call->string("arguments").value_or("")));
  }
}

void tell_model(Writer& out, const Step& step) {
  const auto said = said_in(step, out.fetch());
  const auto find = [&](std::string_view name) -> const Result<std::string>* {
    const auto found = said.find(name);
    return found == said.end() ? nullptr : &found->second;
  };
  if (const auto* input = find("llm.input")) tell_input(out, *input);
  if (const auto* reasoning = find("llm.reasoning")) out.said("reasoning", *reasoning);
  if (const auto* text = find("llm.text")) {
    out.said(step.state() == "done" ? "says" : "partial", *text);
  }
  if (const auto* calls = find("llm.tool_calls")) tell_tool_calls(out, *calls);
}

// What both sides of a WebSocket said, in their order.
void tell_messages(Writer& out, const Step& step) {
  if (!step.settled) return;
  for (const BodyRef& body : step.settled->bodies) {
    if (body.name.starts_with("messages")) out.body("messages", &body);
  }
}

void tell_exchange(Writer& out, const Step& step, double since) {
  const std::string_view call = step.entry.tag("call");
  const std::string_view label = step.entry.tag("tool").empty() ? call : "tool";
  const std::string what = call == "llm" ? std::string(step.entry.tag("llm.model")) : act_of(step);
  out.head(since, label, fmt::format("{}: {}", what, ending_of(step)));
  if (const auto reason = step.tag("reason"); !reason.empty()) out.detail("why", reason);
  for (const Entry& use : step.uses) {
    out.detail("credential", fmt::format("of {} for {}, lease {}", use.tag("user"),
                                         use.tag("service"), use.tag("lease")));
  }
  if (call == "llm") return tell_model(out, step);
  if (!step.entry.tag("tool").empty()) {
    out.body("arguments", step.body("tool.arguments"));
    out.body("result", step.body("tool.result"));
    return;
  }
  if (call == "a2a") {
    if (const auto webhook = step.entry.tag("a2a.webhook"); !webhook.empty()) {
      out.detail("webhook", webhook);
    }
    out.body("says", step.body("a2a.said"));
    if (const auto state = step.tag("a2a.state"); !state.empty()) {
      out.detail("task", fmt::format("{}: {}", step.tag("a2a.task"), state));
    }
    if (const auto error = step.tag("a2a.error"); !error.empty()) out.detail("error", error);
    out.body(step.state() == "done" ? "answers" : "partial", step.body("a2a.answer"));
    return;
  }
  if (call == "websocket") return tell_messages(out, step);
  if (call == "mcp") return;  // its own handshake and listings say nothing to people
  out.body("request", step.body("request"));
  out.body("response", step.body("response"));
}

void tell_other(Writer& out, const Step& step, double since) {
  const Entry& entry = step.entry;
  switch (entry.kind) {
    case Kind::kRefused:
    case Kind::kAlarm: {
      const bool alarm = entry.kind == Kind::kAlarm;
      out.head(since, alarm ? "ALARM" : "REFUSED",
               alarm ? fmt::format("{}: {}", entry.tag("alarm"), act_of(step)) : act_of(step));
      out.detail("why", entry.tag("reason"));
      out.detail("rule", entry.tag("rule"));
      return;
    }
    case Kind::kKilled:
      out.head(since, "KILLED", fmt::format("the sandbox was {}", entry.tag("sandbox")));
      return out.detail("why", entry.tag("reason"));
    case Kind::kRevived:
      return out.head(since, "REVIVED", "");
    default: {
      std::string text;
      for (const auto& [key, value] : entry.tags) {
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
      }
      out.head(since, name_of(entry.kind), text);
    }
  }
}

void tell_effects(Writer& out, const std::vector<Step>& steps, std::int64_t began_ns) {
  out.line("\nWhat it did to the world");
  bool any = false;
  for (const Step& step : steps) {
    if (!step.is_effect()) continue;
    any = true;
    std::string state(step.state());
    if (state == "cut") state = "in doubt";  // it was sent; whether it was done, nobody was told
    const auto status = step.tag("status");
    out.line(fmt::format("  {:<9} {:>10}  {}{}", state,
                         fmt::format("+{}", seconds(seconds_since(began_ns, step.entry.wall_ns))),
                         act_of(step), status.empty() ? "" : fmt::format(" ({})", status)));
  }
  if (!any) out.line("  nothing");
}

void tell_totals(Writer& out, const Transcript& story) {
  std::map<std::string_view, int> counts;
  for (const Step& step : story.steps()) {
    if (step.entry.kind == Kind::kRefused) ++counts["refused"];
    if (step.entry.kind == Kind::kAlarm) ++counts["alarm"];
    if (step.entry.kind == Kind::kIntent) {
      ++counts[step.entry.tag("tool").empty() ? step.entry.tag("call") : "tool"];
    }
  }
  const Tokens tokens = story.tokens();
  out.line(fmt::format(
      "\n{} model calls ({} tokens in, {} out{}{}), {} tool calls, {} requests, "
      "{} refused, {} alarms",
      counts["llm"], grouped(tokens.input), grouped(tokens.output),
      tokens.estimated ? ", estimated" : "", counts["llm"] > 0 ? cost_text(tokens) : "",
      counts["tool"], counts["http"] + counts["websocket"], counts["refused"], counts["alarm"]));
}

}  // namespace

std::string Transcript::text(const FetchBody& fetch, bool whole) const {
  Writer out(fetch, whole);
  if (steps_.empty()) return "";
  const Entry& first = steps_.front().entry;
  const std::int64_t began = first.wall_ns;
  out.line(fmt::format("run    {}", first.run ? first.run->text() : "?"));
  out.line(fmt::format("trace  {}", first.trace.text()));
  if (first.kind == Kind::kRunStarted) {
    out.line(fmt::format("agent  {} for {}, tenant {}", first.tag("agent"), first.tag("user"),
                         first.tenant));
  }
  out.line(fmt::format("began  {}\n", WallTime(began).text()));
  for (const Step& step : steps_) {
    const double since = seconds_since(began, step.entry.wall_ns);
    if (step.entry.kind == Kind::kIntent) {
      tell_exchange(out, step, since);
    } else {
      tell_other(out, step, since);
    }
  }
  tell_effects(out, steps_, began);
  tell_totals(out, *this);
  return std::move(out).text();
}

}  // namespace gatehouse::audit
