// SPDX-License-Identifier: Apache-2.0
// A role's self-confinement, one function, fail-closed: a step that fails ends the process's start.
// Steps in order: descriptors closed, not dumpable, no core, dies with its parent, own uid, no
// capability, no_new_privs, Landlock, seccomp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace gatehouse::ipc {

// Sockets beside the ones a role is given: none; none, but it may accept on them; its own, IPv4 and
// IPv6 only.
enum class Network : std::uint8_t { kNone, kAccept, kOutbound, kOutboundAndAccept };

struct Confinement {
  // 0 keeps the uid (single-user mode); else setresuid to it, groups dropped. Ignored when not
  // root.
  std::uint32_t uid = 0;
  Network network = Network::kNone;
  std::vector<std::string> writable;  // directories below which files may be made and changed
  std::vector<std::string> readable;  // files and directories that may be read
  std::vector<int> keep;              // descriptors that stay open beside 0, 1 and 2
  bool no_landlock = false;           // conceded: this host has none
};

// The role's own uid, groups dropped, for good; nothing when this is not root or `uid` is 0. A role
// does it before it opens anything, so that what it makes is its own. Errors: kUnsupported.
[[nodiscard]] Result<void> drop_root(std::uint32_t uid);

// Errors: kUnsupported names the layer and what to change.
[[nodiscard]] Result<void> confine(const Confinement& plan);

// Whose root the builder is: of a range of ids, of which sandboxes get others than 0; or of one
// user's namespace, whose one id sandboxes get too, which takes CAP_SETFCAP to hand on.
enum class RootOf : std::uint8_t { kRange, kUser };

// For the one role that builds sandboxes: it keeps root with the capabilities that building needs,
// in a network namespace without a way out; all else as above, but for Landlock, which forbids
// mounting. Its filter names what is forbidden, for its children inherit it.
[[nodiscard]] Result<void> confine_builder(const std::vector<int>& keep_descriptors, RootOf root);

}  // namespace gatehouse::ipc
