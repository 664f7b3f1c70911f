// SPDX-License-Identifier: Apache-2.0
#include "control/monitor.h"

#include "ipc/counters.h"
#include "ipc/supervisor.h"
#include "wire/json.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kAnswerMost = std::chrono::seconds(1);  // of one role
constexpr std::string_view kPlainType = "text/plain; charset=utf-8";

bool is_this_machine(const std::string& host) {
  if (host.empty() || host == "localhost") return true;
  const auto parsed = wire::Host::parse(host);
  return parsed && parsed->is_ip_literal();
}

std::string readiness(const std::vector<Missing>& missing, bool all_killed) {
  wire::JsonWriter writer;
  writer.begin_object().key("ready").boolean(missing.empty());
  writer.key("everything_killed").boolean(all_killed).key("missing").begin_array();
  for (const Missing& role : missing) {
    writer.begin_object().key("role").string(role.role).key("why").string(role.why).end_object();
  }
  writer.end_array().end_object();
  return std::move(writer).text() + "\n";
}

}  // namespace

Task<Counted> Monitor::ask(std::string role) {
  Counted counted{role, false, "", {}};
  ipc::GetCounters question;
  const auto reply = co_await ports_.ask(role, ipc::parcel_of(question), loop_.in(kAnswerMost));
  if (!reply) {
    counted.why = reply.error().message();
    co_return counted;
  }
  auto list = ipc::decode<ipc::CounterList>(reply->payload);
  counted.answered = list && reply->type == ipc::CounterList::kType;
  if (counted.answered) {
    counted.counters = std::move(list->counters);
    std::erase_if(counted.counters,
                  [](const ipc::Counter& c) { return !ipc::is_counter_name(c.name); });
  }
  if (!counted.answered) counted.why = "it answers with something else";
  co_return counted;
}

Task<Measured> Monitor::measure() {
  Measured measured;
  measured.version = GATEHOUSE_VERSION;
  ipc::GetStatus question;
  const auto reply =
      co_await ports_.ask("supervisor", ipc::parcel_of(question), loop_.in(kAnswerMost));
  if (auto status = reply ? ipc::decode<ipc::Status>(reply->payload)
                          : Result<ipc::Status>(Failure(reply.error()))) {
    measured.has_status = true;
    measured.status = *std::move(status);
  }
  measured.roles.push_back(co_await ask("supervisor"));
  for (const ipc::RoleStatus& role : measured.status.roles) {
    if (role.role == "control") continue;
    measured.roles.push_back(co_await ask(role.role));
  }
  ipc::CounterList own;
  ipc::add_process_counters(own);
  measured.roles.push_back({"control", true, "", std::move(own.counters)});
  co_return measured;
}

Task<ApiAnswer> Monitor::answer_any(ApiRequest request) {
  ApiAnswer answer;
  answer.type = kPlainType;
  if (request.method != "GET") {
    co_return problem_of(Error(Error::kUnsupported, "here is only GET"), 405);
  }
  if (request.path == "/healthz") {
    answer.body = "ok\n";
    co_return answer;
  }
  if (request.path != "/readyz" && request.path != "/metrics") {
    co_return problem_of(Error(Error::kNotFound, "here are /metrics, /readyz and /healthz"), 404);
  }
  const Measured measured = co_await measure();
  if (request.path == "/metrics") {
    answer.type = kMetricsType;
    answer.body = exposition(measured);
    co_return answer;
  }
  const std::vector<Missing> away = missing(measured);
  answer.type = kJsonType;
  answer.status = away.empty() ? 200 : 503;
  answer.body = readiness(away, measured.status.all_killed);
  co_return answer;
}

Task<ApiAnswer> Monitor::answer(ApiRequest request) {
  if (!is_this_machine(request.host)) {
    co_return problem_of(Error(Error::kDenied, "ask by an address of this machine, or localhost"),
                         421);
  }
  co_return co_await answer_any(std::move(request));
}

Task<ApiAnswer> Monitor::answer_house(ApiRequest request) {
  if (!request.is_house) {
    co_return problem_of(Error(Error::kDenied, "only root and the owner of the data may ask here"));
  }
  co_return co_await answer_any(std::move(request));
}

}  // namespace gatehouse::control
