// SPDX-License-Identifier: Apache-2.0
#include "cli/remote.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/id.h"
#include "cli/answers.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

Result<std::string> path_of(const Api& api, const Options& options) {
  if (options.all) {
    return failure(Error::kDenied,
                   "everything is stopped and let go on by the owner of the house, "
                   "on its host");
  }
  if (options.run.empty()) return failure(Error::kInvalid, "name one run");
  const RunId run = TRY(RunId::parse(options.run));
  return fmt::format("/v1/tenants/{}/runs/{}", TRY(api.tenant(options)), run.text());
}

}  // namespace

std::string words_on(std::uint64_t sandboxes, std::uint64_t ended, bool destroy) {
  if (ended > 0) {
    return fmt::format("{} sandboxes ended for good, because nothing here can freeze them", ended);
  }
  return fmt::format("{} sandboxes {}", sandboxes, destroy ? "destroyed" : "frozen");
}

Result<int> remote_runs(const Api& api, const Options& options) {
  constexpr std::uint32_t kMost = 500;
  const std::uint32_t most = std::min(options.most, kMost);
  const HttpReply reply = TRY(
      api.call("GET", fmt::format("/v1/tenants/{}/runs?limit={}", TRY(api.tenant(options)), most)));
  Table table({"run", "agent", "user", "started", "ended", "outcome", "where", "trace"});
  for (RunRow& row : TRY(parse_runs(reply.body))) table.add({row.begin(), row.end()});
  print(table.text(options.form));
  tell_lacks(options.form, TRY(parse_not_enforced(reply.body)));
  return 0;
}

Result<int> remote_transcript(const Api& api, const Options& options) {
  const std::string form = options.form == Form::kJson ? "json" : options.full ? "full" : "text";
  const HttpReply reply =
      TRY(api.call("GET", fmt::format("{}/transcript?form={}", TRY(path_of(api, options)), form)));
  print(options.form == Form::kJson ? reply.body + "\n" : printable(reply.body));
  return 0;
}

Result<int> remote_kill(const Api& api, const Options& options) {
  wire::JsonWriter body;
  body.begin_object();
  body.key("reason").string(options.reason).key("destroy").boolean(options.destroy);
  body.end_object();
  const HttpReply reply =
      TRY(api.call("POST", TRY(path_of(api, options)) + "/kill", std::move(body).text()));
  const Stopped stopped = TRY(parse_stopped(reply.body));
  print(
      told(options.form,
           fmt::format("killed {}; {}", options.run,
                       words_on(stopped.sandboxes, stopped.ended, options.destroy)),
           {{"killed", options.run}, {"sandboxes", stopped.sandboxes}, {"ended", stopped.ended}}));
  return 0;
}

Result<int> remote_revive(const Api& api, const Options& options) {
  const HttpReply reply = TRY(api.call("POST", TRY(path_of(api, options)) + "/revive"));
  TRY(parse_stopped(reply.body));
  print(told(options.form, fmt::format("revived {}", options.run), {{"revived", options.run}}));
  return 0;
}

}  // namespace gatehouse::cli
