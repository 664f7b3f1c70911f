// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <atomic>
#include <cstdlib>

#include "base/log.h"

namespace gatehouse {
namespace {

std::atomic<unsigned long> g_bugs{0};

void report(std::string_view what, std::string_view condition, const std::source_location& where) {
  log_error(what, {{"condition", condition},
                   {"file", where.file_name()},
                   {"line", where.line()},
                   {"function", where.function_name()}});
}

}  // namespace

void check_failed(std::string_view condition, std::source_location where) {
  report("CHECK failed", condition, where);
  std::abort();
}

bool bug_found(std::string_view condition, std::source_location where) {
  g_bugs.fetch_add(1, std::memory_order_relaxed);
  report("BUG", condition, where);
  if (std::getenv("GATEHOUSE_TESTING") != nullptr) std::abort();
  return true;
}

unsigned long bugs_found() { return g_bugs.load(std::memory_order_relaxed); }

}  // namespace gatehouse
