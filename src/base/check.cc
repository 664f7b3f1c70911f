// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace gatehouse {
namespace {

std::atomic<unsigned long> g_bugs{0};

void print(const char* kind, std::string_view condition, const std::source_location& where) {
  std::fprintf(stderr, "%s: %.*s at %s:%u in %s\n", kind, static_cast<int>(condition.size()),
               condition.data(), where.file_name(), where.line(), where.function_name());
}

}  // namespace

void check_failed(std::string_view condition, std::source_location where) {
  print("CHECK failed", condition, where);
  std::abort();
}

bool bug_found(std::string_view condition, std::source_location where) {
  g_bugs.fetch_add(1, std::memory_order_relaxed);
  print("BUG", condition, where);
  if (std::getenv("GATEHOUSE_TESTING") != nullptr) std::abort();
  return true;
}

unsigned long bugs_found() { return g_bugs.load(std::memory_order_relaxed); }

}  // namespace gatehouse
