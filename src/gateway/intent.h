// SPDX-License-Identifier: Apache-2.0
// Intent: the guard that RECORD returns. It must be settled; one that is destroyed unsettled (a
// cancelled Exchange, a kill) settles itself as `cut`, so that the log never misses an end that
// this process lived to see.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/recorder.h"

namespace gatehouse::gateway {

struct Outcome {
  std::string state = "cut";  // done, refused, failed, cut
  std::string reason;
  std::vector<std::pair<std::string, std::string>> tags;
};

class Intent {
 public:
  // `entry` is the Intent Entry as it was appended; the settling Entry repeats its identity.
  Intent(Recorder& recorder, audit::Entry entry, Recorder::Position position, Instant began,
         net::Loop& loop)
      : recorder_(&recorder),
        entry_(std::make_unique<audit::Entry>(std::move(entry))),
        position_(position),
        began_(began),
        loop_(&loop) {
    entry_->bodies.clear();  // those of its end are others
    outcome.tags.reserve(kTagsUsual);
  }
  Intent(Intent&& other) noexcept
      : recorder_(std::exchange(other.recorder_, nullptr)),
        entry_(std::move(other.entry_)),
        stowed_(std::move(other.stowed_)),
        position_(other.position_),
        began_(other.began_),
        loop_(other.loop_),
        outcome(std::move(other.outcome)),
        bodies_(std::move(other.bodies_)) {}
  Intent& operator=(Intent&&) = delete;
  ~Intent() {
    if (recorder_ != nullptr) settle();
  }

  // Where the Intent is on record; durable once the audit role has passed it.
  [[nodiscard]] Recorder::Position position() const { return position_; }
  [[nodiscard]] Recorder& recorder() const { return *recorder_; }
  // A body that belongs to the settling Entry; false when there is no room for it.
  bool add_body(std::string_view name, std::string_view bytes);
  void tag(std::string_view key, std::string_view value);
  // It ends by that error, in that state; an alarm that was raised stands.
  void fail(const Error& error, std::string_view state = "failed");
  // An Entry of its own beside the outcome: something that a person should look at.
  void raise_alarm(std::string_view what);
  // It will last: what is not needed before its end takes less room until then.
  void stow();
  // Appends the settling Entry with `outcome`. Once.
  void settle();

 private:
  static constexpr std::size_t kTagsUsual = 16;
  void unstow();

  Recorder* recorder_;
  std::unique_ptr<audit::Entry> entry_;  // null while it is stowed ...
  std::string stowed_;                   // ... here, encoded
  Recorder::Position position_;
  Instant began_;
  net::Loop* loop_;

 public:
  Outcome outcome;

 private:
  std::vector<BodyRef> bodies_;
};

}  // namespace gatehouse::gateway
