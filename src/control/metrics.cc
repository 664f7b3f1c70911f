// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/result.h"
#include "ipc/histogram.h"
#include "wire/llm_endpoint.h"

namespace gatehouse::control {
namespace {

enum class Type : std::uint8_t { kCounter, kGauge, kHistogram };
// What may stand behind the dot of a name, as the value of a label.
enum class Behind : std::uint8_t { kNothing, kError, kUse, kAttach, kProvider, kBucket };

struct Row {
  std::string_view role;  // "" for every one
  std::string_view name;  // as the role says it; without what is behind the last dot
  std::string_view metric;
  Type type;
  std::string_view help;
  Behind behind = Behind::kNothing;
  double unit = 1;  // of the number, in that of the metric
};

constexpr auto kCounter = Type::kCounter;
constexpr auto kGauge = Type::kGauge;
constexpr auto kHistogram = Type::kHistogram;

constexpr std::array kRows = {
    Row{"", "cpu_ns", "gatehouse_process_cpu_seconds_total", kCounter,
        "Processor time that this process has used.", Behind::kNothing, 1e-9},
    Row{"", "bugs", "gatehouse_bugs_total", kCounter,
        "Failed checks of the code's own: each is a bug to report."},
    Row{"", "ipc.unpermitted", "gatehouse_ipc_unpermitted_requests_total", kCounter,
        "Requests of other roles that no permit allowed."},
    Row{"gateway", "connections", "gatehouse_gateway_connections_total", kCounter,
        "Connections that agents have made."},
    Row{"gateway", "open", "gatehouse_gateway_open_connections", kGauge,
        "Connections of agents that are open."},
    Row{"gateway", "doors", "gatehouse_gateway_doors", kGauge,
        "Doors at which this gateway accepts: those of all runs."},
    Row{"gateway", "exchanges", "gatehouse_gateway_exchanges_total", kCounter,
        "Exchanges begun, refused ones included."},
    Row{"gateway", "refused.", "gatehouse_gateway_refusals_total", kCounter,
        "Exchanges refused, by the code of the error.", Behind::kError},
    Row{"gateway", "malformed", "gatehouse_gateway_malformed_requests_total", kCounter,
        "Requests that could not be read as HTTP."},
    Row{"gateway", "names_refused", "gatehouse_gateway_refused_names_total", kCounter,
        "Questions to the door's name server about names that the run may not reach."},
    Row{"gateway", "client_left", "gatehouse_gateway_abandoned_connections_total", kCounter,
        "Connections that the agent left in the middle of an exchange."},
    Row{"gateway", "cut_by_kill", "gatehouse_gateway_cut_connections_total", kCounter,
        "Connections cut by a kill."},
    Row{"gateway", "alarms", "gatehouse_gateway_alarms_total", kCounter,
        "Alarms put on record, such as a placeholder on its way to another host."},
    Row{"gateway", "routes.exchanges", "gatehouse_gateway_routed_exchanges_total", kCounter,
        "Calls to models whose name is a model route's."},
    Row{"gateway", "routes.retries", "gatehouse_gateway_route_retries_total", kCounter,
        "Attempts at another target after one that failed."},
    Row{"gateway", "routes.retries_refused", "gatehouse_gateway_route_refused_retries_total",
        kCounter, "Attempts that a model route's budget of retries did not allow."},
    Row{"gateway", "routes.targets_set_aside", "gatehouse_gateway_route_targets_set_aside_total",
        kCounter, "Times that a target was set aside because it failed in a row."},
    Row{"gateway", "busy", "gatehouse_gateway_busy_refusals_total", kCounter,
        "Exchanges refused because their service has as many at a time as it may."},
    Row{"gateway", "llm.calls.", "gatehouse_gateway_llm_calls_total", kCounter,
        "Calls that models have answered, by their provider.", Behind::kProvider},
    Row{"gateway", "llm.tokens.input.", "gatehouse_gateway_llm_input_tokens_total", kCounter,
        "Tokens that went into models, of every kind, estimates among them.", Behind::kProvider},
    Row{"gateway", "llm.tokens.cache_read.", "gatehouse_gateway_llm_cache_read_input_tokens_total",
        kCounter, "Of the input tokens, those that a provider's cache had.", Behind::kProvider},
    Row{"gateway", "llm.tokens.cache_write.",
        "gatehouse_gateway_llm_cache_write_input_tokens_total", kCounter,
        "Of the input tokens, those written to a provider's cache.", Behind::kProvider},
    Row{"gateway", "llm.tokens.input_audio.", "gatehouse_gateway_llm_audio_input_tokens_total",
        kCounter, "Of the input tokens, those of audio.", Behind::kProvider},
    Row{"gateway", "llm.tokens.output.", "gatehouse_gateway_llm_output_tokens_total", kCounter,
        "Tokens that came out of models, of every kind, estimates among them.", Behind::kProvider},
    Row{"gateway", "llm.tokens.reasoning.", "gatehouse_gateway_llm_reasoning_output_tokens_total",
        kCounter, "Of the output tokens, those of reasoning.", Behind::kProvider},
    Row{"gateway", "llm.tokens.output_audio.", "gatehouse_gateway_llm_audio_output_tokens_total",
        kCounter, "Of the output tokens, those of audio.", Behind::kProvider},
    Row{"gateway", "llm.cost_micro_usd.", "gatehouse_gateway_llm_cost_usd_total", kCounter,
        "What calls to models cost, in US dollars, where the price is known.", Behind::kProvider,
        1e-6},
    Row{"gateway", "llm.unpriced.", "gatehouse_gateway_llm_unpriced_calls_total", kCounter,
        "Calls to models of which the price is not known: they are not in the cost.",
        Behind::kProvider},
    Row{"gateway", "live.exchanges", "gatehouse_gateway_live_exchanges", kGauge,
        "Exchanges that are under way."},
    Row{"gateway", "live.streams", "gatehouse_gateway_live_streams", kGauge,
        "Answers under way that are event streams."},
    Row{"gateway", "upstreams.made", "gatehouse_gateway_made_upstream_connections_total", kCounter,
        "Connections to upstreams that were made."},
    Row{"gateway", "upstreams.failed", "gatehouse_gateway_failed_upstream_connections_total",
        kCounter, "Connections to upstreams that could not be made, refused addresses included."},
    Row{"gateway", "upstreams.reused", "gatehouse_gateway_reused_upstream_connections_total",
        kCounter, "How often a kept connection of HTTP/1.1 carried one exchange more."},
    Row{"gateway", "upstreams.in_use", "gatehouse_gateway_used_upstream_connections", kGauge,
        "Connections to upstreams that carry an exchange of HTTP/1.1, or a tunnel, now."},
    Row{"gateway", "upstreams.idle", "gatehouse_gateway_idle_upstream_connections", kGauge,
        "Connections to upstreams that are kept for the next exchange."},
    Row{"gateway", "upstreams.http2", "gatehouse_gateway_http2_upstream_connections", kGauge,
        "Connections of HTTP/2 to upstreams, on which many exchanges are at a time."},
    Row{"gateway", "time.exchange.", "gatehouse_gateway_exchange_duration_seconds", kHistogram,
        "Time of exchanges from the request's head to their end, refused ones included.",
        Behind::kBucket},
    Row{"gateway", "time.own.", "gatehouse_gateway_added_seconds", kHistogram,
        "Time that the gateway added before an answer's head left: no waiting for the agent, "
        "the vault or the upstream is in it.",
        Behind::kBucket},
    Row{"gateway", "time.upstream.", "gatehouse_gateway_upstream_wait_seconds", kHistogram,
        "Time from the dialling of an upstream to its answer's head.", Behind::kBucket},
    Row{"gateway", "time.llm_first_chunk.", "gatehouse_gateway_llm_time_to_first_chunk_seconds",
        kHistogram, "Time from a call to a model to the first piece of its answer's body.",
        Behind::kBucket},
    Row{"gateway", "time.llm_first_token.", "gatehouse_gateway_llm_time_to_first_token_seconds",
        kHistogram,
        "Time from a call to a model to the first of what the model says in its stream: text, "
        "reasoning or a call of a tool.",
        Behind::kBucket},
    Row{"gateway", "audit.lost", "gatehouse_gateway_lost_entries_total", kCounter,
        "Entries that could not be handed to the audit role."},
    Row{"gateway", "attach.refused.", "gatehouse_gateway_refused_run_tokens_total", kCounter,
        "Connections and requests from outside of sandboxes that were not let in, by why.",
        Behind::kAttach},
    Row{"gateway", "attach.handshakes.failed", "gatehouse_gateway_failed_handshakes_total",
        kCounter, "TLS handshakes at the port for agents outside of sandboxes that failed."},
    Row{"gateway", "attach.turned_away", "gatehouse_gateway_turned_away_connections_total",
        kCounter, "Connections there that were closed unheard, because too many were not let in."},
    Row{"gateway", "attach.unrecorded", "gatehouse_gateway_unrecorded_refusals_total", kCounter,
        "Refusals there beyond those that are put on record in a second."},
    Row{"vault", "uses.", "gatehouse_vault_uses_total", kCounter,
        "What the vault has done with credentials, by kind.", Behind::kUse},
    Row{"vault", "leases.live", "gatehouse_vault_live_leases", kGauge,
        "Credentials that are lent to an exchange now."},
    Row{"vault", "runs.live", "gatehouse_vault_live_runs", kGauge,
        "Runs that the vault may lend credentials for."},
    Row{"vault", "records", "gatehouse_vault_records", kGauge, "Sealed records in the store."},
    Row{"audit", "entries", "gatehouse_audit_entries_total", kCounter,
        "Entries that are durable in the log, of earlier processes too."},
    Row{"audit", "commits", "gatehouse_audit_commits_total", kCounter,
        "Groups of entries written and synced."},
    Row{"audit", "commits.failed", "gatehouse_audit_failed_commits_total", kCounter,
        "Groups that could not be written or synced; they are tried again."},
    Row{"audit", "cannot_write", "gatehouse_audit_write_failing", kGauge,
        "1 while the log cannot be written: what needs it is refused."},
    Row{"audit", "gathered_bytes", "gatehouse_audit_gathered_bytes", kGauge,
        "Bytes that wait for the next commit."},
    Row{"audit", "rings", "gatehouse_audit_rings", kGauge, "Rings of gateways that are read."},
    Row{"audit", "rings.abandoned", "gatehouse_audit_abandoned_rings_total", kCounter,
        "Rings of gateways that could not be read to their end."},
    Row{"audit", "dropped", "gatehouse_audit_dropped_records_total", kCounter,
        "Records of a gateway's that did not belong into the log."},
    Row{"audit", "report.dropped", "gatehouse_audit_unreported_entries_total", kCounter,
        "Entries that the exporter did not take in time: they are in the log alone."},
    Row{"exporter", "entries", "gatehouse_exporter_entries_total", kCounter,
        "Entries of the log that were taken for spans and lines of the access log."},
    Row{"exporter", "entries.unreadable", "gatehouse_exporter_unreadable_entries_total", kCounter,
        "Entries that could not be read."},
    Row{"exporter", "spans.sent", "gatehouse_exporter_sent_spans_total", kCounter,
        "Spans that the collector has taken."},
    Row{"exporter", "spans.rejected", "gatehouse_exporter_rejected_spans_total", kCounter,
        "Spans that the collector did not take of a request that it took."},
    Row{"exporter", "spans.dropped", "gatehouse_exporter_dropped_spans_total", kCounter,
        "Spans for which there was no room, because the collector did not take those before."},
    Row{"exporter", "spans.given_up", "gatehouse_exporter_given_up_spans_total", kCounter,
        "Spans that the collector refused, or did not take in five minutes."},
    Row{"exporter", "spans.waiting", "gatehouse_exporter_waiting_spans", kGauge,
        "Spans that wait to be sent."},
    Row{"exporter", "posts.failed", "gatehouse_exporter_failed_posts_total", kCounter,
        "Requests to the collector that it did not take."},
    Row{"exporter", "lines.written", "gatehouse_exporter_written_lines_total", kCounter,
        "Lines of the access log that were written."},
    Row{"exporter", "lines.dropped", "gatehouse_exporter_dropped_lines_total", kCounter,
        "Lines of the access log for which there was no room, because it could not be written."},
    Row{"courier", "posts.answered", "gatehouse_courier_answered_posts_total", kCounter,
        "Requests that an authorization server has answered, whatever it said."},
    Row{"courier", "posts.failed.", "gatehouse_courier_failed_posts_total", kCounter,
        "Requests to authorization servers that got no answer, by the code of the error.",
        Behind::kError},
    Row{"courier", "endpoints", "gatehouse_courier_endpoints", kGauge,
        "Endpoints that may be asked."},
    Row{"sandboxd", "sandboxes.asked", "gatehouse_sandboxd_asked_sandboxes_total", kCounter,
        "Sandboxes that were asked for."},
    Row{"sandboxd", "sandboxes.made", "gatehouse_sandboxd_made_sandboxes_total", kCounter,
        "Sandboxes that were made."},
    Row{"sandboxd", "sandboxes.adopted", "gatehouse_sandboxd_adopted_sandboxes_total", kCounter,
        "Sandboxes taken over from an earlier process."},
    Row{"sandboxd", "sandboxes.live", "gatehouse_sandboxd_live_sandboxes", kGauge,
        "Sandboxes that there are."},
    Row{"supervisor", "kills", "gatehouse_supervisor_kills_total", kCounter, "Kills asked for."},
    Row{"supervisor", "revivals", "gatehouse_supervisor_revivals_total", kCounter,
        "Kills that were ended."},
    Row{"supervisor", "sandboxes", "gatehouse_supervisor_sandboxes", kGauge,
        "Sandboxes that a kill can freeze."},
};

// vault::Use::what.
constexpr std::array<std::string_view, 8> kUses = {
    "lease", "leaf", "refresh", "refresh-failed", "stored", "connected", "removed", "refused"};

// gateway::Refused::label.
constexpr std::array<std::string_view, 10> kNotLetIn = {
    "none",    "malformed", "signature", "audience", "expired",
    "not_yet", "other_key", "no_run",    "killed",   "other_run"};

bool is_known(Behind behind, std::string_view text) {
  if (behind == Behind::kBucket) return ipc::Histogram::place_of(text).has_value();
  if (behind == Behind::kAttach) {
    return std::find(kNotLetIn.begin(), kNotLetIn.end(), text) != kNotLetIn.end();
  }
  if (behind == Behind::kUse) return std::find(kUses.begin(), kUses.end(), text) != kUses.end();
  if (behind == Behind::kProvider) {
    return std::ranges::any_of(wire::kLlmProviders,
                               [&](auto provider) { return wire::name_of(provider) == text; });
  }
  const auto rows = error_rows();
  return std::any_of(rows.begin(), rows.end(), [&](const ErrorRow& r) { return r.label == text; });
}

const Row* row_for(std::string_view role, std::string_view name, std::string_view& behind) {
  for (const Row& row : kRows) {
    if (!row.role.empty() && row.role != role) continue;
    if (row.behind == Behind::kNothing && row.name == name) return &row;
    if (row.behind == Behind::kNothing || !name.starts_with(row.name)) continue;
    behind = name.substr(row.name.size());
    if (is_known(row.behind, behind)) return &row;
  }
  return nullptr;
}

std::string number(double value) {
  constexpr double kExact = 9e15;  // above, a double is no count any more
  return value < kExact && value == static_cast<double>(static_cast<std::uint64_t>(value))
             ? fmt::format("{}", static_cast<std::uint64_t>(value))
             : fmt::format("{:.9f}", value);
}

class Page {
 public:
  void family(std::string_view metric, Type type, std::string_view help) {
    text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", metric,
                         type == Type::kCounter ? "counter"
                         : type == Type::kGauge ? "gauge"
                                                : "histogram",
                         help);
  }
  void sample(std::string_view metric, std::string_view labels, double value) {
    text_ += labels.empty() ? fmt::format("{} {}\n", metric, number(value))
                            : fmt::format("{}{{{}}} {}\n", metric, labels, number(value));
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

// Each bucket by itself, and behind them the sum in nanoseconds: ipc::Histogram's.
using Buckets = std::array<double, ipc::Histogram::kBuckets + 1>;

void show_histogram(Page& page, const Row& row, std::string_view labels, const Buckets& buckets) {
  const std::string metric(row.metric);
  double until = 0;
  for (std::size_t i = 0; i < ipc::Histogram::kBuckets; ++i) {
    until += buckets.at(i);
    const bool last = i == ipc::Histogram::kBounds.size();
    const std::string bound = last ? "+Inf" : fmt::format("{}", ipc::Histogram::kBounds.at(i));
    page.sample(metric + "_bucket", fmt::format("{},le=\"{}\"", labels, bound), until);
  }
  page.sample(metric + "_sum", labels, buckets.back() * 1e-9);
  page.sample(metric + "_count", labels, until);
}

void show_house(Page& page, const Measured& measured) {
  page.family("gatehouse_build_info", kGauge, "The version that runs; always 1.");
  page.sample("gatehouse_build_info", fmt::format("version=\"{}\"", measured.version), 1);
  page.family("gatehouse_role_answering", kGauge, "1 if the process answered in time.");
  for (const Counted& role : measured.roles) {
    page.sample("gatehouse_role_answering", fmt::format("role=\"{}\"", role.role), role.answered);
  }
  if (!measured.has_status) return;
  page.family("gatehouse_role_ready", kGauge, "1 if the supervisor has the process as ready.");
  for (const ipc::RoleStatus& role : measured.status.roles) {
    page.sample("gatehouse_role_ready", fmt::format("role=\"{}\"", role.role), role.ready);
  }
  page.family("gatehouse_role_restarts_total", kCounter,
              "How often the process was started again.");
  for (const ipc::RoleStatus& role : measured.status.roles) {
    page.sample("gatehouse_role_restarts_total", fmt::format("role=\"{}\"", role.role),
                role.restarts);
  }
  page.family("gatehouse_everything_killed", kGauge, "1 while everything is killed.");
  page.sample("gatehouse_everything_killed", "", measured.status.all_killed);
  page.family("gatehouse_killed_runs", kGauge, "Runs that are killed one by one.");
  page.sample("gatehouse_killed_runs", "", static_cast<double>(measured.status.killed.size()));
}

}  // namespace

std::string exposition(const Measured& measured) {
  // Row -> labels -> value: one sample of each, however often a role says it.
  std::map<const Row*, std::map<std::string, double>> samples;
  std::map<const Row*, std::map<std::string, Buckets>> histograms;
  double unknown = 0;
  for (const Counted& role : measured.roles) {
    for (const ipc::Counter& counter : role.counters) {
      std::string_view behind;
      const Row* row = row_for(ipc::role_of(role.role), counter.name, behind);
      if (row == nullptr) {
        ++unknown;
        continue;
      }
      std::string labels = fmt::format("role=\"{}\"", role.role);
      if (row->type == Type::kHistogram) {
        histograms[row][labels].at(*ipc::Histogram::place_of(behind)) =
            static_cast<double>(counter.value);
        continue;
      }
      if (row->behind == Behind::kAttach) labels += fmt::format(",reason=\"{}\"", behind);
      if (row->behind == Behind::kError) labels += fmt::format(",reason=\"{}\"", behind);
      if (row->behind == Behind::kProvider) labels += fmt::format(",provider=\"{}\"", behind);
      if (row->behind == Behind::kUse) labels += fmt::format(",use=\"{}\"", behind);
      samples[row][labels] = static_cast<double>(counter.value) * row->unit;
    }
  }
  Page page;
  show_house(page, measured);
  for (const Row& row : kRows) {
    if (const auto times = histograms.find(&row); times != histograms.end()) {
      page.family(row.metric, row.type, row.help);
      for (const auto& [labels, buckets] : times->second) {
        show_histogram(page, row, labels, buckets);
      }
    }
    const auto found = samples.find(&row);
    if (found == samples.end()) continue;
    page.family(row.metric, row.type, row.help);
    for (const auto& [labels, value] : found->second) page.sample(row.metric, labels, value);
  }
  page.family("gatehouse_control_unknown_counters", kGauge,
              "Names that roles have said now and nobody knows: none, unless one is captured.");
  page.sample("gatehouse_control_unknown_counters", "", unknown);
  return std::move(page).text();
}

std::vector<Missing> missing(const Measured& measured) {
  std::vector<Missing> out;
  if (!measured.has_status) out.push_back({"supervisor", "it does not answer"});
  for (const ipc::RoleStatus& role : measured.status.roles) {
    if (role.ready) continue;
    out.push_back({role.role, role.pid <= 0 ? fmt::format("it has ended and is started again; it "
                                                          "was {} times before",
                                                          role.restarts)
                                            : "it starts"});
  }
  for (const Counted& role : measured.roles) {
    const bool known =
        std::any_of(out.begin(), out.end(), [&](const Missing& m) { return m.role == role.role; });
    if (!role.answered && !known) out.push_back({role.role, "it does not answer: " + role.why});
    for (const ipc::Counter& counter : role.counters) {
      if (role.role != "audit" || counter.name != "cannot_write" || counter.value == 0) continue;
      out.push_back({role.role, "the log cannot be written, so nothing that needs it passes"});
    }
  }
  return out;
}

}  // namespace gatehouse::control
