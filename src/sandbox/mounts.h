// SPDX-License-Identifier: Apache-2.0
// The sandbox's file tree. The outside half, with privilege, takes what the tree is made of as
// detached mounts; the inside half puts them together under a new root. Nothing of the host is
// reached by path from the inside.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

// A detached mount and where it goes.
struct Piece {
  net::Descriptor tree;
  std::string target;  // absolute, inside
  bool is_directory = true;
};

struct Pieces {
  std::vector<Piece> toolbox;  // read-only
  std::vector<Piece> devices;
  Piece home;
  std::vector<Piece> guarded;  // over what is in the home, in order: directories as they are, then
                               // the file read-only
};

// Outside, as root: makes the home volume if it is not there, gives it to the plan's uid. Errors:
// kInvalid, kUnsupported.
[[nodiscard]] Result<Pieces> take_pieces(const Plan& plan);

// Inside, in the fresh mount namespace: builds the tree and makes it the root. Errors:
// kUnsupported.
[[nodiscard]] Result<void> enter_root(const Plan& plan, const Pieces& pieces);

}  // namespace gatehouse::sandbox
