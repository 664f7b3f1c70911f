// SPDX-License-Identifier: Apache-2.0
#include "control/attachments.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "base/encoding.h"
#include "base/log.h"
#include "wire/run_token.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kLookMost = std::chrono::seconds(30);
constexpr Nanos kLookLeast = std::chrono::milliseconds(500);
constexpr std::size_t kTokenIdBytes = 16;

std::int64_t seconds_of(Nanos span) {
  return std::chrono::duration_cast<std::chrono::seconds>(span).count();
}

std::string random_id() {
  const Secret random = Secret::random(kTokenIdBytes);
  return to_base64url(random.open(Purpose::kTransport));
}

}  // namespace

Attachments::Attachments(net::Loop& loop, StateStore& store, Control& control, RunTokenKeys keys,
                         AttachPlace place)
    : loop_(loop),
      store_(store),
      control_(control),
      keys_(std::move(keys)),
      place_(std::move(place)),
      key_changes_(loop),
      tasks_(loop) {
  tasks_.spawn(watch());
}

Task<Result<Attached>> Attachments::attach(Wish wish) {
  std::size_t live = 0;
  for (const Run& run : CO_TRY(store_.live_runs())) live += run.is_attached() ? 1 : 0;
  if (live >= ipc::kAttachmentsMost) {
    co_return failure(Error::kTooMany, fmt::format("there are {} runs outside of sandboxes already",
                                                   ipc::kAttachmentsMost));
  }
  Attached attached;
  attached.run = CO_TRY(control_.new_run(wish.tenant, wish.agent, wish.user));
  attached.run.thumbprint = to_base64url(wish.thumbprint);
  attached.run.by = wish.by;
  Control::Begun begun = CO_TRY(co_await control_.begin_run(
      attached.run, std::move(wish.environment),
      {{"sandbox", "none"}, {"x5t#S256", attached.run.thumbprint}, {"by", wish.by}}));
  heard_[attached.run.id] = loop_.now();
  attached.environment = std::move(begun.environment);
  attached.ca_certificate_pem = begun.live.ca_certificate_pem;
  for (const std::string& gateway : control_.gateways()) {
    auto opening = co_await opening_of(attached.run);
    const auto told = opening ? co_await control_.call(gateway, *std::move(opening))
                              : Result<ipc::Done>(Failure(opening.error()));
    if (!told) control_.arrived(gateway);
  }
  attached.token = CO_TRY(co_await mint(attached.run));
  co_return attached;
}

Task<Result<MintedToken>> Attachments::renew(Run run, std::string by) {
  if (!run.is_attached() || !run.is_live()) {
    co_return failure(Error::kNotFound, run.is_attached() ? "the run " + run.id.text() + " is over"
                                                          : "a run in a sandbox has no token");
  }
  if (run.by != by) {
    co_return failure(Error::kDenied, "only who began a run renews its token");
  }
  if (const std::string gone = CO_TRY(what_is_gone(run)); !gone.empty()) {
    CO_TRY(co_await control_.end_run(run, 128 + SIGHUP, gone));
    co_return failure(Error::kDenied, "the run is over: " + gone);
  }
  heard_[run.id] = loop_.now();
  const ipc::Status status = CO_TRY(co_await control_.call("supervisor", ipc::GetStatus{}));
  const auto& killed = status.killed;
  if (status.all_killed || std::find(killed.begin(), killed.end(), run.id) != killed.end()) {
    co_return failure(Error::kKilled, "the run " + run.id.text()
                                          + " is killed; only a person with that right can revive "
                                            "it");
  }
  co_return co_await mint(std::move(run));
}

Task<Result<void>> Attachments::detach(Run run, std::string by, std::int32_t exit_status) {
  if (!run.is_attached()) {
    co_return failure(Error::kConflict, "a run in a sandbox ends with it");
  }
  if (run.by != by) co_return failure(Error::kDenied, "only who began a run ends it");
  if (!run.is_live()) co_return Result<void>();
  heard_.erase(run.id);
  co_return co_await control_.end_run(std::move(run), exit_status, "");
}

// Whatever a Run cannot be without; "" when all is there.
Result<std::string> Attachments::what_is_gone(const Run& run) {
  const State state = TRY(store_.state());
  if (state.find<User>(run.tenant, run.user) == nullptr) {
    return fmt::format("user {} is no more", run.user);
  }
  if (state.find<Agent>(run.tenant, run.agent) == nullptr) {
    return fmt::format("agent {} is no more", run.agent);
  }
  return "";
}

Task<Result<MintedToken>> Attachments::mint(Run run) {
  if (keys_.is_due(loop_.wall()) && !key_changes_.is_taken()) CO_TRY(co_await change_key());
  wire::RunToken token;
  token.run = run.id;
  token.tenant = run.tenant;
  token.thumbprint = CO_TRY(wire::parse_thumbprint(run.thumbprint));
  token.id = random_id();
  token.issued_unix_s = loop_.wall().unix_seconds();
  token.expires_unix_s = token.issued_unix_s + seconds_of(place_.token_life);
  co_return MintedToken{CO_TRY(wire::signed_run_token(token, keys_.signing_seed())),
                        place_.token_life};
}

// The new key signs when the gateways that are there know it.
Task<Result<void>> Attachments::change_key() {
  const net::Turn turn = co_await key_changes_.take();
  CO_TRY(keys_.make_next(loop_.wall()));
  co_await control_.publish();
  keys_.use_next();
  log_info("run tokens are signed with another key");
  co_return Result<void>();
}

void Attachments::add_keys(ipc::Snapshot& snapshot) {
  snapshot.run_token_keys = keys_.public_keys();
}

// The vault says what stands for credentials: the same each time.
Task<Result<ipc::OpenAttachment>> Attachments::opening_of(Run run) {
  ipc::RunLive live = CO_TRY(co_await control_.declare_live(run));
  ipc::OpenAttachment opening;
  opening.run = {run.id, run.trace, run.tenant, run.user, run.agent};
  opening.placeholders = std::move(live.placeholders);
  opening.thumbprint = CO_TRY(wire::parse_thumbprint(run.thumbprint));
  co_return opening;
}

Task<Result<void>> Attachments::tell(std::string gateway) {
  ipc::KeepAttachments keep;
  for (const Run& run : CO_TRY(store_.live_runs())) {
    if (!run.is_attached() || !CO_TRY(what_is_gone(run)).empty()) continue;
    auto opening = CO_TRY(co_await opening_of(run));
    if (!CO_TRY(store_.run(run.id)).is_live()) continue;  // it ended meanwhile
    CO_TRY(co_await control_.call(gateway, std::move(opening)));
    keep.runs.push_back(run.id);
  }
  CO_TRY(co_await control_.call(gateway, std::move(keep)));
  CO_TRY(co_await control_.call(
      gateway, ipc::UseAttachIdentity{place_.certificate_pem,
                                      place_.private_key_pem.duplicate(Purpose::kTransport)}));
  co_return Result<void>();
}

Task<void> Attachments::watch() {
  const Nanos pause = std::clamp(Nanos(place_.token_life / 4), kLookLeast, kLookMost);
  while (true) {
    co_await loop_.sleep_for(pause);
    const auto runs = store_.live_runs();
    if (!runs) {
      log_warning("the runs outside of sandboxes cannot be looked after",
                  {{"why", runs.error().message()}});
      continue;
    }
    std::erase_if(heard_, [&](const auto& heard) {
      return std::none_of(runs->begin(), runs->end(),
                          [&](const Run& run) { return run.id == heard.first; });
    });
    for (const Run& run : *runs) {
      if (run.is_attached()) co_await look_after(run, loop_.now());
    }
  }
}

Task<void> Attachments::look_after(Run run, Instant now) {
  const auto [heard, is_new] = heard_.try_emplace(run.id, now);
  std::string why = what_is_gone(run).value_or("");
  if (why.empty() && now - heard->second >= place_.token_life) {
    why = fmt::format("its forwarder was not heard of for {} s", seconds_of(place_.token_life));
  }
  if (why.empty()) co_return;
  log_info("a run outside of a sandbox ends",
           {{"run", run.id.text()}, {"trace", run.trace.text()}, {"why", why}});
  const auto ended = co_await control_.end_run(run, 128 + SIGHUP, why);
  if (ended) heard_.erase(run.id);
  if (!ended) log_warning("ending it failed", {{"why", ended.error().message()}});
}

}  // namespace gatehouse::control
