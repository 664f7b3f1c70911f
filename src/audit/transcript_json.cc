// SPDX-License-Identifier: Apache-2.0
// The Transcript for programs.
#include "audit/read_again.h"
#include "audit/transcript.h"
#include "base/time.h"
#include "wire/json.h"

namespace gatehouse::audit {
namespace {

using wire::JsonWriter;

void write_entry(JsonWriter& out, const Entry& entry, const FetchBody& fetch) {
  out.begin_object();
  out.key("sequence").integer(static_cast<std::int64_t>(entry.sequence));
  out.key("kind").string(name_of(entry.kind));
  out.key("time").string(WallTime(entry.wall_ns).text());
  out.key("role").string(entry.role);
  out.key("trace_id").string(entry.trace.text());
  if (entry.exchange) {
    out.key("exchange").string(entry.exchange->text());
    out.key("span_id").string(entry.span.text());
  }
  if (!entry.linked_trace.empty()) out.key("linked_traceparent").string(entry.linked_trace);
  out.key("tags").begin_object();
  for (std::size_t i = 0; i < entry.tags.size(); ++i) {
    const auto& [key, value] = entry.tags[i];
    bool repeated = false;  // a settling Entry repeats its Intent's; the first of a key counts
    for (std::size_t j = 0; j < i; ++j) repeated = repeated || entry.tags[j].first == key;
    if (!repeated) out.key(key).string(value);
  }
  out.end_object();
  out.key("bodies").begin_object();
  std::map<std::string, Result<std::string>> read;
  const auto write = [&](const std::string& name, const Result<std::string>& bytes) {
    if (bytes) {
      out.key(name).string(*bytes);
    } else {
      out.key(name + ".unreadable").string(bytes.error().message());
    }
  };
  for (const BodyRef& body : entry.bodies) {
    write(body.name, read.insert_or_assign(body.name, fetch(body)).first->second);
  }
  const FetchBody as_read = [&](const BodyRef& body) { return read.at(body.name); };
  for (const Again& again : read_again(entry, as_read)) write(again.name, again.text);
  out.end_object();
  out.end_object();
}

void write_effect(JsonWriter& out, const Step& step) {
  out.begin_object();
  out.key("act").string(act_of(step));
  out.key("state").string(step.state() == "cut" ? "in doubt" : step.state());
  out.key("status").string(step.tag("status"));
  out.key("time").string(WallTime(step.entry.wall_ns).text());
  out.key("exchange").string(step.entry.exchange ? step.entry.exchange->text() : "");
  out.end_object();
}

}  // namespace

std::string Transcript::json(const FetchBody& fetch) const {
  JsonWriter out;
  out.begin_object();
  if (!steps_.empty()) {
    const Entry& first = steps_.front().entry;
    out.key("run").string(first.run ? first.run->text() : "");
    out.key("trace_id").string(first.trace.text());
    out.key("tenant").string(first.tenant);
    out.key("agent").string(first.tag("agent"));
    out.key("user").string(first.tag("user"));
    out.key("began").string(WallTime(first.wall_ns).text());
  }
  const Tokens sum = tokens();
  out.key("tokens").begin_object();
  out.key("input").integer(sum.input).key("output").integer(sum.output);
  out.key("cached").integer(sum.cached).key("reasoning").integer(sum.reasoning);
  out.key("estimated").boolean(sum.estimated).end_object();
  out.key("cost").begin_object().key("micro_usd").integer(sum.cost_micro_usd);
  out.key("unpriced_calls").integer(sum.unpriced).end_object();
  out.key("effects").begin_array();
  for (const Step& step : steps_) {
    if (step.is_effect()) write_effect(out, step);
  }
  out.end_array();
  out.key("steps").begin_array();
  for (const Step& step : steps_) {
    out.begin_object();
    out.key("state").string(step.state());
    out.key("entry");
    write_entry(out, step.entry, fetch);
    if (step.settled) {
      out.key("settled");
      write_entry(out, *step.settled, fetch);
    }
    out.key("uses").begin_array();
    for (const Entry& use : step.uses) write_entry(out, use, fetch);
    out.end_array();
    out.end_object();
  }
  out.end_array();
  out.end_object();
  return std::move(out).text();
}

}  // namespace gatehouse::audit
