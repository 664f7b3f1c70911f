// SPDX-License-Identifier: Apache-2.0
// The admin API: who asks, whether they may, what they want, and the record of it. Every change is
// durable in the log before it is made; what cannot be put on record is not done. Of control's
// thread.
#pragma once

#include <memory>
#include <string>

#include "control/api.h"
#include "control/attachments.h"
#include "control/control.h"
#include "control/issuers.h"
#include "control/rights.h"
#include "control/routes.h"

namespace gatehouse::control {

class Admin {
 public:
  // All must outlive it. `attachments` is null where no agents outside of sandboxes are let in.
  Admin(net::Loop& loop, StateStore& store, Control& control, Attachments* attachments = nullptr);

  // Never fails: an error is an answer too.
  [[nodiscard]] net::Task<ApiAnswer> answer(ApiRequest request);

 private:
  // One request on its way: who asks for what, and the state as it was when they came.
  struct Call {
    ApiRequest request;
    const Route* route = nullptr;
    std::map<std::string, std::string> names;
    Principal who;
    State state;
    [[nodiscard]] std::string tenant() const;
    [[nodiscard]] std::string object_name() const;  // "" in a collection
  };
  // What an act was, for the record.
  struct Act {
    std::string what;    // "create"
    std::string object;  // "user alice"
    std::string before;  // specs; "" for none
    std::string after;
    std::optional<RunId> run;
    TraceId trace;
  };
  using Answered = net::Task<Result<ApiAnswer>>;

  Answered answer_checked(Call& call);
  Answered dispatch(Call& call);
  Answered list(Call& call);
  Answered show(Call& call);
  Answered write(Call& call);
  Answered write_in_turn(Call& call);
  Answered remove_in_turn(Call& call);
  net::Task<Result<void>> refuse_what_is_left(Call& call, std::string user);
  Answered who_am_i(Call& call);
  Answered list_logins(Call& call);
  Answered sign_in(Call& call);
  Answered sign_out(Call& call);
  Answered end_sessions(Call& call);
  Answered list_runs(Call& call);
  Answered show_run(Call& call);
  Answered transcript(Call& call);
  Answered stop_run(Call& call);
  Answered list_acts(Call& call);
  Answered attach(Call& call);
  Answered renew_token(Call& call);
  Answered detach(Call& call);

  [[nodiscard]] Result<Principal> identified(const ApiRequest& request);
  [[nodiscard]] bool is_over(const Session& session);
  [[nodiscard]] Result<Object> object_given(const Call& call, const std::string& name) const;
  [[nodiscard]] Result<Attachments*> attachments() const;
  [[nodiscard]] Result<void> may_act_for(const Call& call, const std::string& user) const;
  [[nodiscard]] Result<Run> run_of(const Call& call);
  [[nodiscard]] Result<std::optional<ApiAnswer>> answered_before(const Call& call);
  [[nodiscard]] Remembered remembered(const Call& call, const ApiAnswer& answer);
  [[nodiscard]] audit::Entry entry_of(const Call& call, const Act& act, std::string_view outcome);

  net::Loop& loop_;
  StateStore& store_;
  Control& control_;
  Attachments* attachments_;
  IssuerKeys keys_;
  net::Event free_;  // for changes, which are one at a time
  bool is_taken_ = false;
  std::map<std::string, Instant> session_ends_;  // of those that were shown here, by digest
};

}  // namespace gatehouse::control
