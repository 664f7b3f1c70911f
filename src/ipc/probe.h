// SPDX-License-Identifier: Apache-2.0
// What a process can still do, found out by trying: each attempt is harmless where it succeeds, and
// asks for no more than to be let in. The supervisor has every role try; `gatehouse doctor` shows
// it beside what the role should be able to do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/message.h"

namespace gatehouse::ipc {

enum class Ability : std::uint8_t {
  kReadShadow,    // a file of root's: /etc/shadow
  kListRoot,      // the host's file system: /
  kReadResolver,  // /etc/resolv.conf, which who dials needs
  kMakeFile,      // an unnamed file in /tmp
  kReadAudit,     // folders of the data directory
  kReadVault,
  kReadState,
  kReadVolumes,
  kInternet,  // sockets, made and closed
  kUnixSocket,
  kNetlink,
  kPacket,
  kVsock,
  kKernelCrypto,
  kExecute,  // system calls
  kThread,   // or a process
  kNamespaces,
  kMount,
  kTrace,
  kBpf,
  kIoUring,
  kUserfault,
  kPerf,
  kKeyring,
  kTypeIntoTerminal,  // TIOCSTI
  kBecomeRoot,
  kReadMemory,  // of another role
  kOpenMemory,
  kSignal,
};
inline constexpr std::size_t kAbilities = 29;

// "read the host's /etc/shadow"
[[nodiscard]] std::string_view text(Ability ability);

struct Attempt {
  Ability ability{};
  bool possible = false;
  std::string said;  // how it was refused: "EPERM"; "" if it was not
  template <class F>
  void fields(F& f) {
    f(ability, possible, said);
  }
};
struct Attempts {
  static constexpr MessageType kType = 0x0617;
  std::vector<Attempt> attempts;
  template <class F>
  void fields(F& f) {
    f(attempts);
  }
};
// Supervisor -> role.
struct Probe {
  static constexpr MessageType kType = 0x0607;
  using Reply = Attempts;
  std::string data;                  // the data directory
  std::vector<std::int32_t> others;  // the processes of the other roles
  template <class F>
  void fields(F& f) {
    f(data, others);
  }
};

// Tries everything, each ability once; where there are several others, an ability is possible if it
// is against one of them.
[[nodiscard]] std::vector<Attempt> try_everything(const Probe& probe);

}  // namespace gatehouse::ipc
