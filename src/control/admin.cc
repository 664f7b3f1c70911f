// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "control/decoding.h"
#include "control/present.h"
#include "control/story.h"
#include "ipc/supervisor.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr std::size_t kPathOnRecordMost = 256;
constexpr std::size_t kKeyMost = 128;                 // of an Idempotency-Key
constexpr std::size_t kStoryMost = 32 * 1024 * 1024;  // bytes of a transcript
constexpr Nanos kTurnMost = std::chrono::seconds(30);
constexpr Nanos kRememberedFor = std::chrono::hours(24);
constexpr int kPreconditionFailed = 412;
constexpr int kUnprocessable = 422;
constexpr int kPreconditionRequired = 428;  // RFC 6585 section 3

// An error with a status of its own.
struct Refusal {
  static ApiAnswer of(Error::Code code, int status, std::string text) {
    return problem_of(Error(code, std::move(text)), status);
  }
};

std::string etag_of(const Stored& stored) { return fmt::format("\"{}\"", stored.version); }

// What a person of the tenant's must not let in: the host's directories and private networks.
bool needs_host(const Object& object) {
  if (const auto* agent = std::get_if<Agent>(&object)) {
    return !agent->toolbox.empty() || !agent->skeleton.empty();
  }
  if (const auto* service = std::get_if<Service>(&object)) return service->allow_private;
  if (const auto* issuer = std::get_if<Issuer>(&object)) return issuer->allow_private;
  return false;
}

std::string what_is(const Object& object) {
  return fmt::format("{} {}", text(kind_of(object)), name_of(object));
}

std::string json_of(const Run& run) {
  wire::JsonWriter out;
  out.begin_object();
  out.key("run").string(run.id.text()).key("trace_id").string(run.trace.text());
  out.key("tenant").string(run.tenant).key("agent").string(run.agent);
  out.key("user").string(run.user).key("started").string(run.started.text());
  out.key("live").boolean(run.is_live()).key("attached").boolean(run.is_attached());
  if (!run.is_live()) {
    out.key("ended").string(run.ended.text()).key("exit_status").integer(run.exit_status);
  }
  out.end_object();
  return std::move(out).text();
}

std::string json_of(const audit::Entry& entry) {
  wire::JsonWriter out;
  out.begin_object();
  out.key("sequence").integer(static_cast<std::int64_t>(entry.sequence));
  out.key("kind").string(audit::name_of(entry.kind));
  out.key("time").string(WallTime(entry.wall_ns).text());
  out.key("role").string(entry.role).key("tenant").string(entry.tenant);
  out.key("tags").begin_object();
  for (const auto& [key, value] : entry.tags) out.key(key).string(value);
  out.end_object();
  out.end_object();
  return std::move(out).text();
}

}  // namespace

std::string Admin::Call::tenant() const {
  const auto found = names.find("tenant");
  return found == names.end() ? "" : found->second;
}

std::string Admin::Call::object_name() const {
  if (route->kind == Kind::kTenant) return tenant();
  const auto name = names.find("name");
  if (name == names.end()) return "";
  return route->kind == Kind::kRule ? names.at("agent") + "/" + name->second : name->second;
}

Admin::Admin(net::Loop& loop, StateStore& store, Control& control, Attachments* attachments)
    : loop_(loop),
      store_(store),
      control_(control),
      attachments_(attachments),
      keys_(loop, control),
      free_(loop) {}

Task<ApiAnswer> Admin::answer(ApiRequest request) {
  Call call;
  call.request = std::move(request);
  Result<ApiAnswer> answered = co_await answer_checked(call);
  if (!answered) co_return problem_of(answered.error());
  co_return *std::move(answered);
}

Admin::Answered Admin::answer_checked(Call& call) {
  Routed routed = route_of(call.request.method, call.request.path);
  if (routed.route == nullptr && routed.allowed.empty()) {
    co_return failure(Error::kNotFound,
                      "there is no such path; GET /v1/openapi.json describes those there are");
  }
  if (routed.route == nullptr) {
    co_return Refusal::of(Error::kUnsupported, 405,
                          fmt::format("this path has {} only", routed.allowed));
  }
  call.route = routed.route;
  call.names = std::move(routed.names);
  call.state = CO_TRY(store_.state());
  call.who = CO_TRY(identified(call.request));
  if (!may(call.state, call.who, call.route->right, call.tenant())) {
    if (call.who.type == Principal::Type::kNobody) {
      co_return failure(Error::kUnauthenticated,
                        "this needs somebody who is signed in; `gatehouse login` does that");
    }
    const Act act{std::string(call.route->method),
                  printable(call.request.path.substr(0, kPathOnRecordMost)),
                  "",
                  "",
                  {},
                  {}};
    audit::Entry entry = entry_of(call, act, "denied");
    if (call.state.find<Tenant>("", entry.tenant) == nullptr) entry.tenant.clear();
    CO_TRY(co_await control_.record(std::move(entry)));
    co_return failure(Error::kDenied, fmt::format("{} does not have the right {} in this tenant",
                                                  call.who.text(), text(call.route->right)));
  }
  for (const auto& [name, value] : call.request.query) {
    const auto& known = call.route->query;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      co_return failure(Error::kInvalid, fmt::format("nothing here is called \"{}\" in the query",
                                                     printable(name.substr(0, 64))));
    }
  }
  const std::string tenant = call.tenant();
  const bool exists = tenant.empty() || call.state.find<Tenant>("", tenant) != nullptr;
  if (!exists) co_return failure(Error::kNotFound, "there is no tenant " + printable(tenant));
  co_return co_await dispatch(call);
}

Admin::Answered Admin::dispatch(Call& call) {
  switch (call.route->action) {
    case Action::kDocument:
      co_return json_answer(openapi_document());
    case Action::kWhoAmI:
      co_return co_await who_am_i(call);
    case Action::kIssuers:
      co_return co_await list_logins(call);
    case Action::kSignIn:
      co_return co_await sign_in(call);
    case Action::kSignOut:
      co_return co_await sign_out(call);
    case Action::kList:
      co_return co_await list(call);
    case Action::kShow:
      co_return co_await show(call);
    case Action::kCreate:
    case Action::kSet:
    case Action::kRemove:
    case Action::kEndSessions:
    case Action::kKill:
    case Action::kRevive:
      co_return co_await write(call);
    case Action::kListRuns:
      co_return co_await list_runs(call);
    case Action::kShowRun:
      co_return co_await show_run(call);
    case Action::kTranscript:
      co_return co_await transcript(call);
    case Action::kListActs:
      co_return co_await list_acts(call);
    case Action::kAttach:
      co_return co_await attach(call);
    case Action::kRenewToken:
      co_return co_await renew_token(call);
    case Action::kDetach:
      co_return co_await detach(call);
  }
  co_return failure(Error::kInternal, "a route without an act");
}

audit::Entry Admin::entry_of(const Call& call, const Act& act, std::string_view outcome) {
  audit::Entry entry;
  entry.kind = audit::Kind::kAdministered;
  entry.wall_ns = loop_.wall().unix_nanos();
  entry.monotonic_ns = loop_.now().since_boot().count();
  entry.role = "control";
  entry.tenant = call.tenant();
  entry.run = act.run;
  entry.trace = act.trace;
  entry.add("who", call.who.text());
  entry.add("act", act.what);
  entry.add("object", act.object);
  if (!act.before.empty()) entry.add("before", cut_for_record(act.before));
  if (!act.after.empty()) entry.add("after", cut_for_record(act.after));
  entry.add("outcome", outcome);
  return entry;
}

// --- objects

Admin::Answered Admin::list(Call& call) {
  const Kind kind = *call.route->kind;
  const Page page = CO_TRY(parse_page(call.request.query));
  const auto agent = call.names.find("agent");
  std::map<std::string, const Stored*> found;
  for (const Stored& stored : call.state.objects) {
    if (kind_of(stored.object) != kind) continue;
    const std::string& tenant = tenant_of(stored.object);
    const bool visible = kind == Kind::kTenant ? may(call.state, call.who, Right::kRead, tenant)
                                               : tenant == call.tenant();
    const auto* rule = std::get_if<Rule>(&stored.object);
    if (!visible || (rule != nullptr && rule->agent != agent->second)) continue;
    if (std::string name = name_of(stored.object); name > page.after) found.emplace(name, &stored);
  }
  wire::JsonWriter out;
  out.begin_object();
  out.key("items").begin_array();
  std::size_t given = 0;
  std::string last;
  for (const auto& [name, stored] : found) {
    if (given++ == page.limit) break;
    out.raw(shown(*stored));
    last = name;
  }
  out.end_array();
  if (found.size() > page.limit) out.key("next_page_token").string(to_base64url(last));
  out.end_object();
  co_return json_answer(std::move(out).text());
}

Admin::Answered Admin::show(Call& call) {
  const Kind kind = *call.route->kind;
  const Stored* stored = call.state.stored(kind, call.tenant(), call.object_name());
  if (stored == nullptr) {
    co_return failure(Error::kNotFound,
                      fmt::format("there is no {} {}", text(kind), printable(call.object_name())));
  }
  ApiAnswer answer = json_answer(shown(*stored));
  answer.etag = etag_of(*stored);
  co_return answer;
}

Result<std::optional<ApiAnswer>> Admin::answered_before(const Call& call) {
  const std::string& key = call.request.idempotency_key;
  if (key.empty()) return std::nullopt;
  if (key.size() > kKeyMost) {
    return failure(Error::kInvalid,
                   fmt::format("an Idempotency-Key has at most {} bytes", kKeyMost));
  }
  TRY(store_.forget_before(WallTime(loop_.wall().unix_nanos() - Nanos(kRememberedFor).count())));
  const auto known = TRY(store_.remembered(call.who.text(), key));
  if (!known) return std::nullopt;
  if (known->fingerprint != remembered(call, {}).fingerprint) {
    return Refusal::of(Error::kConflict, kUnprocessable,
                       "this Idempotency-Key was used for another request");
  }
  ApiAnswer answer = json_answer(known->body, known->status);
  answer.etag = known->etag;
  answer.is_replayed = true;
  return answer;
}

Remembered Admin::remembered(const Call& call, const ApiAnswer& answer) {
  const ApiRequest& request = call.request;
  return {call.who.text(),
          request.idempotency_key,
          sha256_text(fmt::format("{}\n{}\n{}", request.method, request.path, request.body)),
          answer.status,
          answer.etag,
          answer.body,
          loop_.wall()};
}

// Changes are one at a time, so that what was checked still holds when it is done.
Admin::Answered Admin::write(Call& call) {
  const Deadline deadline = loop_.in(kTurnMost);
  while (is_taken_) {
    free_.reset();
    CO_TRY(co_await free_.wait(deadline));
  }
  is_taken_ = true;
  struct Turn {
    Admin* of;
    ~Turn() {
      of->is_taken_ = false;
      of->free_.set();
    }
  } const turn{this};
  call.state = CO_TRY(store_.state());
  if (call.request.method == "POST") {
    if (auto before = CO_TRY(answered_before(call))) co_return *std::move(before);
  }
  if (call.route->action == Action::kKill || call.route->action == Action::kRevive) {
    co_return co_await stop_run(call);
  }
  if (call.route->action == Action::kRemove) co_return co_await remove_in_turn(call);
  if (call.route->action == Action::kEndSessions) co_return co_await end_sessions(call);
  co_return co_await write_in_turn(call);
}

// The object that the body describes: {"name", "spec"}, of which PUT needs the spec only.
Result<Object> Admin::object_given(const Call& call, const std::string& name) const {
  auto body = tree_of_json(call.request.body);
  if (!body) return failure(Error::kInvalid, "the body is not JSON: " + body.error().what);
  Problems problems;
  Section section(*body, "the body", problems);
  const Kind kind = *call.route->kind;
  NewObject given{kind, call.tenant(), "", {}};
  given.node.type = Yaml::Type::kMap;
  if (const Yaml* spec = section.value("spec", Need::kRequired)) {
    given.node = *spec;
    if (spec->type != Yaml::Type::kMap) section.problem("spec", "spec must be an object");
  }
  if (kind != Kind::kBinding) {
    Yaml key;
    key.type = Yaml::Type::kScalar;
    key.text = kind == Kind::kRule ? "id" : "name";
    Yaml value;
    value.type = Yaml::Type::kScalar;
    value.text =
        section.string("name", name.empty() ? Need::kRequired : Need::kOptional).value_or(name);
    if (!name.empty() && value.text != name) {
      section.problem("name", "the name in the body is not that of the path; names do not change");
    }
    given.node.members.push_back({std::move(key), std::move(value)});
  }
  section.finish();
  if (kind == Kind::kRule) given.agent = call.names.at("agent");
  std::expected<Object, Problems> object = std::unexpected(problems);
  if (problems.empty()) {
    object = decode_object(given, call.state, [](const std::string& pem) -> Result<std::string> {
      return pem;  // the certificate itself, where the file names one
    });
  }
  if (object) return *std::move(object);
  std::vector<std::string> lines;
  for (const Problem& problem : object.error()) lines.push_back(problem.what);
  return failure(Error::kInvalid, fmt::format("{}", fmt::join(lines, "; ")));
}

Admin::Answered Admin::write_in_turn(Call& call) {
  const bool is_new = call.route->action == Action::kCreate;
  const std::string path_name =
      is_new ? "" : call.names[call.route->kind == Kind::kTenant ? "tenant" : "name"];
  const Object object = CO_TRY(object_given(call, path_name));
  const std::string tenant = tenant_of(object);
  const Stored* before = call.state.stored(kind_of(object), tenant, name_of(object));
  if (is_new && before != nullptr) {
    co_return failure(Error::kConflict, what_is(object) + " is there already");
  }
  if (!is_new) {
    if (before == nullptr) co_return failure(Error::kNotFound, "there is no " + what_is(object));
    if (call.request.if_match.empty()) {
      co_return Refusal::of(Error::kInvalid, kPreconditionRequired,
                            "say with If-Match which version is changed: the ETag that was shown");
    }
    if (call.request.if_match != etag_of(*before)) {
      co_return Refusal::of(Error::kConflict, kPreconditionFailed,
                            what_is(object) + " was changed meanwhile; look at it again");
    }
  }
  if (needs_host(object) && !may(call.state, call.who, Right::kHost, "")) {
    co_return failure(Error::kDenied,
                      "toolbox, skeleton and allow_private let something of the host in: they are "
                      "for its owner, in gatehouse.yaml or by the socket on the host");
  }
  const auto* service = std::get_if<Service>(&object);
  if (service != nullptr && service->client_certificate) {
    co_return failure(Error::kDenied,
                      "client_certificate names files of the host with a key: it is for services "
                      "of gatehouse.yaml");
  }
  CO_TRY(store_.try_put(object));
  const Act act{is_new ? "create" : "set",
                what_is(object),
                before == nullptr ? "" : spec_of(before->object),
                spec_of(object),
                {},
                {}};
  CO_TRY(co_await control_.record(entry_of(call, act, "done")));
  ApiAnswer answer;
  const bool keeps = is_new && !call.request.idempotency_key.empty();
  const auto stored = store_.put(object, [&](const Stored& now) -> std::optional<Remembered> {
    answer = json_answer(shown(now), is_new ? 201 : 200);
    answer.etag = etag_of(now);
    return keeps ? std::optional(remembered(call, answer)) : std::nullopt;
  });
  if (!stored) {
    CO_TRY(co_await control_.record(entry_of(call, act, "failed")));
    co_return Failure(stored.error());
  }
  co_await control_.publish();
  co_return answer;
}

// Whoever has the name next must not find the accounts or the Runs of whoever had it before.
Task<Result<void>> Admin::refuse_what_is_left(Call& call, std::string user) {
  for (const Run& run : CO_TRY(store_.live_runs())) {
    if (run.tenant != call.tenant() || run.user != user) continue;
    co_return failure(Error::kConflict,
                      fmt::format("{} has a run under way; stop it first: gatehouse kill {} "
                                  "--destroy",
                                  user, run.id.text()));
  }
  const auto linked =
      CO_TRY(co_await control_.call("vault", ipc::ListConnections{call.tenant(), user}));
  if (linked.connections.empty()) co_return Result<void>();
  co_return failure(Error::kConflict,
                    fmt::format("{} has linked accounts; remove them first: gatehouse connect {} "
                                "--user {} --remove",
                                user, linked.connections.front().service, user));
}

Admin::Answered Admin::remove_in_turn(Call& call) {
  const Kind kind = *call.route->kind;
  const std::string name = call.object_name();
  const Stored* before = call.state.stored(kind, call.tenant(), name);
  if (before == nullptr) {
    co_return failure(Error::kNotFound,
                      fmt::format("there is no {} {}", text(kind), printable(name)));
  }
  if (!call.request.if_match.empty() && call.request.if_match != etag_of(*before)) {
    co_return Refusal::of(Error::kConflict, kPreconditionFailed,
                          what_is(before->object) + " was changed meanwhile; look at it again");
  }
  CO_TRY(store_.try_remove(kind, call.tenant(), name));
  if (kind == Kind::kUser) CO_TRY(co_await refuse_what_is_left(call, name));
  const Act act{"remove", what_is(before->object), spec_of(before->object), "", {}, {}};
  CO_TRY(co_await control_.record(entry_of(call, act, "done")));
  const auto removed = store_.remove(kind, call.tenant(), name);
  if (!removed) {
    CO_TRY(co_await control_.record(entry_of(call, act, "failed")));
    co_return Failure(removed.error());
  }
  co_await control_.publish();
  co_return json_answer("", 204);
}

// --- Runs

Result<Run> Admin::run_of(const Call& call) {
  const auto id = RunId::parse(call.names.at("run"));
  const auto run = id ? store_.run(*id) : Failure(id.error());
  if (run && run->tenant == call.tenant()) return *run;
  return failure(Error::kNotFound, "there is no such run in this tenant");
}

Admin::Answered Admin::list_runs(Call& call) {
  const std::size_t limit = CO_TRY(parse_page(call.request.query)).limit;
  wire::JsonWriter out;
  out.begin_object();
  if (const auto house = co_await control_.call("supervisor", ipc::GetStatus{})) {
    out.key("not_enforced").begin_array();
    for (const std::string& missing : house->not_enforced) out.string(missing);
    out.end_array();
  }
  out.key("items").begin_array();
  for (const Run& run : CO_TRY(store_.runs_of(call.tenant(), static_cast<std::uint32_t>(limit)))) {
    out.raw(json_of(run));
  }
  out.end_array();
  out.end_object();
  co_return json_answer(std::move(out).text());
}

Admin::Answered Admin::show_run(Call& call) {
  co_return json_answer(json_of(CO_TRY(run_of(call))));
}

Admin::Answered Admin::stop_run(Call& call) {
  const Run run = CO_TRY(run_of(call));
  const bool is_kill = call.route->action == Action::kKill;
  std::string reason;
  bool destroy = false;
  if (is_kill && !call.request.body.empty()) {
    const auto body = tree_of_json(call.request.body);
    if (!body) co_return failure(Error::kInvalid, "the body is not JSON: " + body.error().what);
    Problems problems;
    Section section(*body, "the body", problems);
    reason = section.string_or("reason", "");
    destroy = section.boolean_or("destroy", false);
    section.finish();
    if (!problems.empty()) co_return failure(Error::kInvalid, problems.front().what);
  }
  const Act act{is_kill ? "kill" : "revive", "run " + run.id.text(), "", reason, run.id, run.trace};
  // A kill does not wait for its record: the supervisor keeps one of its own until the log is
  // there.
  const auto recorded = co_await control_.record(entry_of(call, act, "done"));
  if (!recorded && !is_kill) co_return Failure(recorded.error());
  const std::string why =
      fmt::format("{}{}{}", call.who.text(), reason.empty() ? "" : ": ", reason);
  const auto done =
      is_kill ? co_await control_.call("supervisor", ipc::Kill{run.id, false, destroy, why})
              : co_await control_.call("supervisor", ipc::Revive{run.id, false});
  if (!done) {
    static_cast<void>(co_await control_.record(entry_of(call, act, "failed")));
    co_return Failure(done.error());
  }
  wire::JsonWriter out;
  out.begin_object();
  out.key("run").string(run.id.text()).key("sandboxes").integer(done->sandboxes);
  out.key("ended").integer(done->ended);
  out.end_object();
  ApiAnswer answer = json_answer(std::move(out).text());
  if (!call.request.idempotency_key.empty()) CO_TRY(store_.remember(remembered(call, answer)));
  co_return answer;
}

Admin::Answered Admin::transcript(Call& call) {
  const Run run = CO_TRY(run_of(call));
  const auto given = call.request.query.find("form");
  const std::string form = given == call.request.query.end() ? "json" : given->second;
  if (form != "json" && form != "text" && form != "full") {
    co_return failure(Error::kInvalid, "form is json, text or full");
  }
  CO_TRY(co_await control_.record_reading(call.who.text(), run));
  const Story story = CO_TRY(co_await read_story(control_, run.id, kStoryMost));
  if (form == "json") co_return json_answer(story.json());
  ApiAnswer answer = json_answer(story.text(form == "full"));
  answer.type = "text/plain; charset=utf-8";
  co_return answer;
}

Admin::Answered Admin::list_acts(Call& call) {
  const Page asked = CO_TRY(parse_page(call.request.query));
  const std::size_t limit = asked.limit;
  std::uint64_t from = CO_TRY(parse_position(asked.after));
  wire::JsonWriter out;
  out.begin_object();
  out.key("items").begin_array();
  std::size_t given = 0;
  do {
    const ipc::EntryPage page = CO_TRY(co_await control_.call("audit", ipc::ReadActs{from}));
    from = page.next_sequence;
    for (std::size_t i = 0; i < page.entries.size() && i < page.sequences.size(); ++i) {
      audit::Entry entry = CO_TRY(audit::decode(page.entries[i]));
      if (entry.tenant != call.tenant()) continue;
      if (given == limit) {
        from = page.sequences[i];
        break;
      }
      entry.sequence = page.sequences[i];
      out.raw(json_of(entry));
      ++given;
    }
  } while (from != 0 && given < limit);
  out.end_array();
  if (from != 0) out.key("next_page_token").string(to_base64url(std::to_string(from)));
  out.end_object();
  co_return json_answer(std::move(out).text());
}

}  // namespace gatehouse::control
