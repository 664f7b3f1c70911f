// SPDX-License-Identifier: Apache-2.0
// Faults that a test asks a process of the house for by a signal, to see that the sanitizer's word
// on them gets out of the process's confinement, and ends it. Of a build with a sanitizer alone: no
// other has planted_faults.cc.
#pragma once

#include "net/descriptor.h"
#include "net/loop.h"
#include "net/nursery.h"

namespace gatehouse::bin {

class PlantedFaults {
 public:
  // Before the process is confined; from then on it waits for SIGRTMIN + a PlantedFault.
  explicit PlantedFaults(net::Loop& loop);

 private:
  net::Descriptor signals_;
  net::Nursery nursery_;
};

}  // namespace gatehouse::bin
