// SPDX-License-Identifier: Apache-2.0
#include "base/catalogue.h"

#include <array>

#include "base/check.h"

namespace gatehouse {
namespace {

constexpr std::array kTexts = {
    ErrorText{Error::kInternal, "something went wrong in Gatehouse itself: a bug",
              "look at the log for what it was, and report it with `gatehouse support-bundle`"},
    ErrorText{Error::kInvalid, "what was given cannot be read, or is not what was asked for",
              "correct what the message names"},
    ErrorText{Error::kTooLarge, "a head, a body, a file or a list is larger than its bound",
              "send less at a time; the message has the bound"},
    ErrorText{Error::kTooMany, "there are too many of something, or they come too fast",
              "slow down and try again; `leases_per_second` of an agent can be raised"},
    ErrorText{Error::kTimeout, "something did not answer in its time",
              "try again; if it stays, `gatehouse status` and the log say what is slow"},
    ErrorText{Error::kCancelled, "the work was told to stop before it was done", "start it again"},
    ErrorText{Error::kClosed, "the other side ended the connection",
              "try again; the other side's log says why"},
    ErrorText{Error::kUnauthenticated, "nobody that is known has asked",
              "sign in, or give a token that is still good"},
    ErrorText{Error::kDenied, "a rule, a right or a bound of the network says no, or none says yes",
              "the message names what decided; a rule in gatehouse.yaml or a role allows it"},
    ErrorText{Error::kKilled, "the run, or everything, is killed",
              "find out why, then `gatehouse revive RUN` (or `--all`)"},
    ErrorText{Error::kNotFound, "there is nothing of that name",
              "check the name; `gatehouse objects` and `gatehouse runs` list what there is"},
    ErrorText{Error::kConflict, "it is there already, or somebody has changed or holds it",
              "choose another name or place, or look at what is there first"},
    ErrorText{Error::kUnsupported, "it is understood, and not done here",
              "do without it; `gatehouse doctor` says what this host cannot do"},
    ErrorText{Error::kUnreachable, "an upstream or an authorization server cannot be reached",
              "check its address, its name and the network between; nothing was sent"},
    ErrorText{Error::kUpstream, "an upstream broke off, or its answer is none",
              "check before trying again: it may have done what it was asked"},
    ErrorText{Error::kUnavailable, "a role of the house is away, so what needs it is refused",
              "try again; `gatehouse status` says which, and the log why"},
    ErrorText{Error::kAuditUnavailable, "it could not be put on record first, so it was not done",
              "make room where the audit log lies, see docs/runbooks/disk-full.md"},
    ErrorText{Error::kLeaseRefused, "the vault lends no credential for this",
              "`gatehouse connections` shows whether there is one; the message says what is wrong"},
    ErrorText{Error::kCorrupt, "stored data does not pass its checksum or seal",
              "stop, keep a copy, then `gatehouse audit verify`; restore from a backup"},
    ErrorText{Error::kExhausted, "disk, memory, descriptors or connections ran out",
              "an agent tries again (`Retry-After`); for the disk, see docs/runbooks/disk-full.md"},
    ErrorText{Error::kBudgetExhausted, "the budget is used up", "raise it, or wait for the next"},
    ErrorText{Error::kTooSlow, "the other side took too long to say what it wants",
              "send the request without pauses"},
};

constexpr bool texts_are_in_order() {
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    if (kTexts[i].code != i) return false;
  }
  return true;
}
static_assert(texts_are_in_order() && kTexts.size() == Error::kTooSlow + 1);

}  // namespace

const ErrorText& text_of(Error::Code code) {
  CHECK(code < kTexts.size());
  return kTexts[code];
}

}  // namespace gatehouse
