// SPDX-License-Identifier: Apache-2.0
#include "bin/planted_faults.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <limits>
#include <thread>

#include "base/sanitizer.h"

namespace gatehouse::bin {
namespace {

static_assert(kSanitized, "faults are planted in a build with a sanitizer alone");

// After SIGRTMIN; tests/integration/sanitized_load_test.py has the same numbers.
enum PlantedFault : int { kLeak = 1, kFreedMemory = 2, kUndefined = 3, kRace = 4, kEnd = 5 };

// What an optimizer knows nothing of.
volatile int g_number = std::numeric_limits<int>::max();
int* volatile g_memory = nullptr;

void leak() {
  g_memory = new int[1000];
  g_memory = nullptr;
}

void read_freed_memory() {
  g_memory = new int[10];
  delete[] g_memory;
  g_number = g_memory[3];
}

void overflow() { g_number = g_number + 1; }

void race() {
  int counted = 0;
  const auto count = [&counted] {
    for (int i = 0; i < 1000; ++i) counted = counted + 1;
  };
  std::thread other(count);
  count();
  other.join();
  g_number = counted;
}

net::Task<void> wait_for_orders(net::Loop* loop, int signals) {
  while (co_await loop->wait_readable(signals, Deadline::never())) {
    signalfd_siginfo signal{};
    if (::read(signals, &signal, sizeof signal) != ssize_t{sizeof signal}) continue;
    switch (static_cast<int>(signal.ssi_signo) - SIGRTMIN) {
      case kLeak:
        leak();
        break;
      case kFreedMemory:
        read_freed_memory();
        break;
      case kUndefined:
        overflow();
        break;
      default:
        race();
    }
  }
}

net::Descriptor orders() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (int fault = kLeak; fault < kEnd; ++fault) sigaddset(&wanted, SIGRTMIN + fault);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  return net::Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

PlantedFaults::PlantedFaults(net::Loop& loop) : signals_(orders()), nursery_(loop) {
  nursery_.spawn(wait_for_orders(&loop, signals_.get()));
}

}  // namespace gatehouse::bin
