// SPDX-License-Identifier: Apache-2.0
#include "gateway/intent.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/log.h"

namespace gatehouse::gateway {

bool Intent::add_body(std::string_view name, std::string_view bytes) {
  auto body = recorder_->store_now(name, bytes);
  if (body) {
    bodies_.push_back(std::move(*body));
  } else {
    tag("body.lost", name);
  }
  return body.has_value();
}

void Intent::tag(std::string_view key, std::string_view value) {
  outcome.tags.emplace_back(key, value);
}

void Intent::fail(const Error& error, std::string_view state) {
  if (outcome.state != "refused") outcome.state = state;
  outcome.reason = error.message();
  tag("error", row_of(error.code()).label);
}

void Intent::raise_alarm(std::string_view what) {
  unstow();
  audit::Entry alarm = *entry_;
  alarm.kind = audit::Kind::kAlarm;
  alarm.bodies.clear();
  alarm.add("alarm", what);
  recorder_->append_now(std::move(alarm));
  log_warning("alarm", {{"what", what},
                        {"run", entry_->run ? entry_->run->text() : ""},
                        {"trace", entry_->trace.text()}});
  outcome.state = "refused";
  outcome.reason = what;
}

void Intent::stow() {
  outcome.tags.shrink_to_fit();
  if (!entry_) return;
  auto encoded = audit::encode(*entry_);
  if (!encoded) return;  // it stays as it is
  encoded->shrink_to_fit();
  stowed_ = std::move(*encoded);
  entry_.reset();
}

void Intent::unstow() {
  if (entry_) return;
  auto entry = audit::decode(std::exchange(stowed_, {}));
  CHECK(entry);  // it is what `encode` made
  entry_ = std::make_unique<audit::Entry>(std::move(*entry));
}

void Intent::settle() {
  unstow();
  audit::Entry settled = std::move(*entry_);  // it ends here
  settled.kind = audit::Kind::kSettled;
  settled.bodies = std::move(bodies_);
  settled.tags.reserve(settled.tags.size() + outcome.tags.size() + 3);
  settled.add("state", outcome.state);
  if (!outcome.reason.empty()) settled.add("reason", outcome.reason.substr(0, 1024));
  settled.add("duration_us", std::to_string((loop_->now() - began_).count() / 1000));
  std::ranges::move(outcome.tags, std::back_inserter(settled.tags));
  recorder_->append_now(std::move(settled));
  recorder_ = nullptr;
}

}  // namespace gatehouse::gateway
