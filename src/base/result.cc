// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace gatehouse {
namespace {

constexpr std::array kRows = {
    ErrorRow{Error::kInternal, "internal", 500, -32603, 70},
    ErrorRow{Error::kInvalid, "invalid_request", 400, -32600, 65},
    ErrorRow{Error::kTooLarge, "too_large", 413, -32001, 65},
    ErrorRow{Error::kTooMany, "too_many", 429, -32002, 75},
    ErrorRow{Error::kTimeout, "timeout", 504, -32003, 75},
    ErrorRow{Error::kCancelled, "cancelled", 499, -32004, 75},
    ErrorRow{Error::kClosed, "closed", 499, -32005, 74},
    ErrorRow{Error::kUnauthenticated, "unauthenticated", 401, -32006, 77},
    ErrorRow{Error::kDenied, "denied", 403, -32007, 77},
    ErrorRow{Error::kKilled, "killed", 403, -32008, 77},
    ErrorRow{Error::kNotFound, "not_found", 404, -32601, 66},
    ErrorRow{Error::kConflict, "conflict", 409, -32009, 73},
    ErrorRow{Error::kUnsupported, "unsupported", 501, -32601, 69},
    ErrorRow{Error::kUnreachable, "unreachable", 502, -32011, 69},
    ErrorRow{Error::kUpstream, "upstream", 502, -32012, 76},
    ErrorRow{Error::kUnavailable, "unavailable", 503, -32013, 75},
    ErrorRow{Error::kAuditUnavailable, "audit_unavailable", 503, -32014, 75},
    ErrorRow{Error::kLeaseRefused, "lease_refused", 403, -32015, 77},
    ErrorRow{Error::kCorrupt, "corrupt", 500, -32016, 74},
    ErrorRow{Error::kExhausted, "exhausted", 503, -32017, 71},
    ErrorRow{Error::kBudgetExhausted, "budget_exhausted", 402, -32010, 75},
    ErrorRow{Error::kTooSlow, "too_slow", 408, -32018, 75},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].code != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order() && kRows.size() == Error::kTooSlow + 1);

}  // namespace

Error Error::in(std::string_view context) const {
  return {code_, std::string(context) + ": " + message_};
}

const ErrorRow& row_of(Error::Code code) {
  CHECK(code < kRows.size());
  return kRows[code];
}

std::span<const ErrorRow> error_rows() { return kRows; }

Failure failure(Error::Code code, std::string message) {
  return Failure(Error(code, std::move(message)));
}

Failure failure_from_errno(int error_number, std::string_view what) {
  Error::Code code = Error::kInternal;
  switch (error_number) {
    case ENOENT:
      code = Error::kNotFound;
      break;
    case EEXIST:
      code = Error::kConflict;
      break;
    case EACCES:
    case EPERM:
      code = Error::kDenied;
      break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
      code = Error::kExhausted;
      break;
    case ETIMEDOUT:
      code = Error::kTimeout;
      break;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
      code = Error::kUnreachable;
      break;
    case EPIPE:
    case ECONNRESET:
      code = Error::kClosed;
      break;
    case EIO:
      code = Error::kCorrupt;
      break;
    default:
      break;
  }
  return failure(code, std::string(what) + ": " + std::strerror(error_number));
}

}  // namespace gatehouse
