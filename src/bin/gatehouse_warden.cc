// SPDX-License-Identifier: Apache-2.0
// The warden of one sandbox. `gatehouse-warden INIT`, started by sandboxd.
#include <fcntl.h>

#include "bin/role_main.h"
#include "net/descriptor.h"
#include "sandbox/warden.h"

int main(int argc, char** argv) {
  using namespace gatehouse;
  if (argc != 2) return 64;
  const net::Descriptor init(open(argv[1], O_RDONLY | O_CLOEXEC));
  if (!init.is_open()) return 66;
  bin::begin_log("warden");
  return sandbox::guard_sandbox(init.get());
}
