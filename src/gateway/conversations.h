// SPDX-License-Identifier: Apache-2.0
// What the models' conversations said last, so that what the next request says again is neither
// parsed nor hashed nor stored again. A request of a Run is held against that Run's own alone, of
// the same kind: what another one said can be learned neither from an answer nor from the time that
// it takes. The bytes are compared themselves; what is found by a hash is where to compare.
//
// All that is here is on record, and holds no placeholder of its Run: a conversation is kept once
// its request's bodies are in the ring, and was looked through. Of one process, and lost with it.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "audit/entry.h"
#include "base/id.h"
#include "wire/llm_endpoint.h"

namespace gatehouse::gateway {

// A part of a request's body, and the body in the log that says it.
struct KnownPart {
  std::size_t at = 0;  // in the request's body
  std::size_t size = 0;
  bool is_message = false;  // wire::LlmPart
  audit::ObjectId object{};
  audit::Digest commitment{};
};

// Who says something, and as what it is read: what one reader finds nothing in may be a tool to
// another.
struct Speaker {
  RunId run;
  wire::LlmDialect dialect{};
  wire::LlmOperation operation{};
  friend bool operator==(const Speaker&, const Speaker&) = default;
};

// What is known of a request's body.
struct Known {
  std::uint64_t conversation = 0;  // that it goes on; 0: none
  std::uint64_t turn = 0;          // of the conversation, when it was asked for
  std::size_t prefix = 0;          // bytes that both begin with
  std::size_t bytes = 0;           // of the parts
  std::vector<KnownPart> parts;    // in order
};

class Conversations {
 public:
  // All together; the one that was asked for longest ago goes first.
  static constexpr std::size_t kBytesMost = 32 * 1024 * 1024;
  // Of a body; a smaller one costs less than to look for it.
  static constexpr std::size_t kBodyLeast = 16 * 1024;
  static constexpr std::size_t kBodyMost = 4 * 1024 * 1024;

  Conversations();

  // Of a body from kBodyLeast to kBodyMost; nothing of any other.
  [[nodiscard]] Known find(const Speaker& who, std::string_view body);
  // That they have said `body`, which is made of `parts` and of what is between them. `known` is
  // what `find` gave for it.
  void keep(const Speaker& who, const Known& known, std::string_view body,
            std::vector<KnownPart> parts);
  // The Run has ended.
  void forget(const RunId& run);

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return talks_.size(); }

 private:
  struct Talk {
    std::uint64_t id = 0;
    std::uint64_t turn = 0;
    Speaker who;
    std::string text;
    std::vector<KnownPart> parts;
    std::vector<std::uint64_t> marks;  // the n-th is of the bytes at n + 1 strides

    [[nodiscard]] std::size_t bytes() const;
  };
  using Talks = std::list<Talk>;

  [[nodiscard]] std::uint64_t mark(const Speaker& who, std::string_view body, std::size_t at) const;
  static void find_parts(const Talk& talk, std::string_view body, Known& known);
  [[nodiscard]] Talks::iterator best(const Speaker& who, std::string_view body);
  // The conversation's text is `body`, of which its first `same` bytes are that already.
  void say(Talk& talk, std::string_view body, std::size_t same);
  void drop_marks(Talk& talk, std::size_t from);
  void drop(Talks::iterator talk);

  std::array<std::uint64_t, 2> key_{};  // of the marks: nobody can choose bytes that meet
  Talks talks_;                         // the one that was asked for last first
  std::unordered_map<std::uint64_t, Talks::iterator> by_mark_;
  std::unordered_map<std::uint64_t, Talks::iterator> by_id_;
  std::uint64_t next_id_ = 1;
  std::size_t bytes_ = 0;
};

}  // namespace gatehouse::gateway
