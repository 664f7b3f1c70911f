// SPDX-License-Identifier: Apache-2.0
// The admin API's part about Runs without a sandbox: begun, kept up and ended by who began them.
#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "control/admin.h"
#include "control/present.h"
#include "wire/json.h"
#include "wire/run_token.h"

namespace gatehouse::control {
namespace {

constexpr std::int32_t kStatusMost = 255;

void write_token(wire::JsonWriter& out, const MintedToken& token, const AttachPlace& place) {
  // The names of RFC 6749 section 5.1; what it is bound to stands in it (RFC 8705 section 3).
  out.key("access_token").string(token.token.open(Purpose::kTransport));
  out.key("token_type").string("Bearer");
  out.key("expires_in")
      .integer(std::chrono::duration_cast<std::chrono::seconds>(token.life).count());
  out.key("gateway").begin_object();
  out.key("address").string(place.address).key("certificate").string(place.certificate_pem);
  out.end_object();
}

// In `cnf` (RFC 7800, RFC 8705 section 3.1). Errors: kInvalid.
Result<std::string> thumbprint_in(Section& section, Problems& problems) {
  const Yaml* node = section.value("cnf", Need::kRequired);
  if (node == nullptr) return "";
  Section confirmation(*node, "cnf", problems);
  const auto text = confirmation.string("x5t#S256", Need::kRequired);
  confirmation.finish();
  return text ? wire::parse_thumbprint(*text) : "";
}

}  // namespace

// Nobody acts for another by naming them: a person begins Runs for themselves, a program for those
// that its account names. The house's owner may begin them for anybody, as `gatehouse run` does.
Result<void> Admin::may_act_for(const Call& call, const std::string& user) const {
  const Principal& who = call.who;
  if (who.type == Principal::Type::kHouse) return {};
  if (who.type == Principal::Type::kUser) {
    if (who.name == user) return {};
    return failure(Error::kDenied, "a person begins runs on their own behalf only");
  }
  const auto* account = call.state.find<Account>(who.tenant, who.name);
  if (account != nullptr
      && std::find(account->runs_for.begin(), account->runs_for.end(), user)
             != account->runs_for.end()) {
    return {};
  }
  return failure(
      Error::kDenied,
      fmt::format("account {} may not begin runs on behalf of {}: it has no such user in "
                  "runs_for",
                  who.name, printable(user)));
}

Result<Attachments*> Admin::attachments() const {
  if (attachments_ != nullptr) return attachments_;
  return failure(Error::kUnsupported,
                 "this gatehouse lets no agents outside of sandboxes in; `attach` in "
                 "gatehouse.yaml says where they would come in");
}

Admin::Answered Admin::attach(Call& call) {
  Attachments* attachments = CO_TRY(this->attachments());
  const auto body = tree_of_json(call.request.body);
  if (!body) co_return failure(Error::kInvalid, "the body is not JSON: " + body.error().what);
  Problems problems;
  Section section(*body, "the body", problems);
  Attachments::Wish wish;
  wish.tenant = call.tenant();
  wish.agent = section.string("agent", Need::kRequired).value_or("");
  const bool is_person = call.who.type == Principal::Type::kUser;
  wish.user = section.string_or("user", is_person ? call.who.name : "");
  wish.environment = section.strings("environment");
  const auto thumbprint = thumbprint_in(section, problems);
  section.finish();
  if (!problems.empty()) co_return failure(Error::kInvalid, problems.front().what);
  if (wish.user.empty()) {
    co_return failure(Error::kInvalid, "say with `user` on whose behalf the agent runs");
  }
  if (!thumbprint) co_return Failure(thumbprint.error());
  wish.thumbprint = *thumbprint;
  wish.by = call.who.text();
  CO_TRY(may_act_for(call, wish.user));
  const Attached attached = CO_TRY(co_await attachments->attach(std::move(wish)));
  wire::JsonWriter out;
  out.begin_object();
  out.key("run").string(attached.run.id.text());
  out.key("trace_id").string(attached.run.trace.text());
  write_token(out, attached.token, attachments->place());
  out.key("ca").string(attached.ca_certificate_pem);
  out.key("environment").begin_array();
  for (const std::string& variable : attached.environment) out.string(variable);
  out.end_array();
  out.end_object();
  co_return json_answer(std::move(out).text(), 201);
}

Admin::Answered Admin::renew_token(Call& call) {
  Attachments* attachments = CO_TRY(this->attachments());
  const Run run = CO_TRY(run_of(call));
  CO_TRY(may_act_for(call, run.user));
  auto token = co_await attachments->renew(run, call.who.text());
  if (!token) {
    // While it is killed its forwarder asks on and on; the kill itself is on record.
    if (token.error() == Error::kDenied) {
      const Act act{"renew_token", "run " + run.id.text(), "", "", run.id, run.trace};
      CO_TRY(co_await control_.record(entry_of(call, act, "denied")));
    }
    co_return Failure(token.error());
  }
  wire::JsonWriter out;
  out.begin_object();
  write_token(out, *token, attachments->place());
  out.end_object();
  co_return json_answer(std::move(out).text());
}

Admin::Answered Admin::detach(Call& call) {
  Attachments* attachments = CO_TRY(this->attachments());
  const Run run = CO_TRY(run_of(call));
  const auto body = tree_of_json(call.request.body);
  if (!body) co_return failure(Error::kInvalid, "the body is not JSON: " + body.error().what);
  Problems problems;
  Section section(*body, "the body", problems);
  const auto status = static_cast<std::int32_t>(section.number_or("exit_status", 0, kStatusMost));
  section.finish();
  if (!problems.empty()) co_return failure(Error::kInvalid, problems.front().what);
  CO_TRY(co_await attachments->detach(run, call.who.text(), status));
  co_return json_answer("", 204);
}

}  // namespace gatehouse::control
