// SPDX-License-Identifier: Apache-2.0
// Operating errors as values. One table maps an error's code to HTTP status, JSON-RPC code, exit
// code and metric label; the message says what was wrong, with what, and what to do. A message
// never holds a secret.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gatehouse {

class Error {
 public:
  enum Code : std::uint8_t {
    kInternal,          // our own fault; counted, the Exchange ends
    kInvalid,           // malformed input of a peer or person
    kTooLarge,          // a bound on size was met
    kTooMany,           // a bound on count or rate was met
    kTimeout,           // a Deadline passed
    kCancelled,         // the work was told to stop
    kClosed,            // the peer ended the stream
    kUnauthenticated,   // no identity
    kDenied,            // policy says no; the message names the rule
    kKilled,            // the Run (or everything) is killed
    kNotFound,          // no such object or route
    kConflict,          // exists already, or changed meanwhile
    kUnsupported,       // valid, but not understood here
    kUnreachable,       // the upstream cannot be reached
    kUpstream,          // the upstream answered nonsense or broke off
    kUnavailable,       // a role of ours is away; fail closed
    kAuditUnavailable,  // an Intent could not be made durable
    kLeaseRefused,      // the vault gave no credential
    kCorrupt,           // stored data fails its checksum or seal
    kExhausted,         // disk, memory or descriptors ran out
    kBudgetExhausted,   // the hard cap is reached
    kTooSlow,           // the peer took too long to say what it wants
  };

  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  friend bool operator==(const Error& error, Code code) { return error.code_ == code; }

  // The same error with `context` put before the message, as "context: message".
  [[nodiscard]] Error in(std::string_view context) const;

 private:
  Code code_;
  std::string message_;
};

// The row of the table for one code.
struct ErrorRow {
  Error::Code code;
  std::string_view label;  // metric label and machine-readable "type"
  int http_status;         // RFC 9110
  int json_rpc_code;       // JSON-RPC 2.0 section 5.1; -32000..-32099 are ours
  int exit_code;           // sysexits(3)
};
[[nodiscard]] const ErrorRow& row_of(Error::Code code);
[[nodiscard]] std::span<const ErrorRow> error_rows();

template <class T>
using Result = std::expected<T, Error>;

using Failure = std::unexpected<Error>;
// Cold: the compiler puts whatever leads to one out of the way of what goes well.
[[nodiscard, gnu::cold]] Failure failure(Error::Code code, std::string message);
// What errno says of `what`, as the nearest code.
[[nodiscard, gnu::cold]] Failure failure_from_errno(int error_number, std::string_view what);

}  // namespace gatehouse

// The value of an expression that yields Result<T>, or return its error from this function (TRY) or
// coroutine (CO_TRY). They work as expressions: `auto n = TRY(parse(text));`.
#define TRY(expression) GATEHOUSE_TRY(expression, return, GATEHOUSE_JOIN(try_, __COUNTER__))
#define CO_TRY(expression) GATEHOUSE_TRY(expression, co_return, GATEHOUSE_JOIN(try_, __COUNTER__))

#define GATEHOUSE_JOIN_(a, b) a##b
#define GATEHOUSE_JOIN(a, b) GATEHOUSE_JOIN_(a, b)
#define GATEHOUSE_TRY(expression, leave, name)                     \
  ({                                                               \
    auto&& name = (expression);                                    \
    if (!name) [[unlikely]]                                        \
      leave ::gatehouse::Failure(std::move(name).error());         \
    ::gatehouse::detail::take(std::forward<decltype(name)>(name)); \
  })

namespace gatehouse::detail {
template <class T>
T take(std::expected<T, Error>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
template <class T>
T take(std::expected<T, Error>& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace gatehouse::detail
