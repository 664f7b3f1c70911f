// SPDX-License-Identifier: Apache-2.0
#include "ipc/probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/sanitizer.h"
#include "ipc/confine.h"

namespace gatehouse::ipc {
namespace {

std::map<Ability, bool> tried(const Probe& probe) {
  std::map<Ability, bool> out;
  for (const Attempt& attempt : try_everything(probe)) out[attempt.ability] = attempt.possible;
  return out;
}

class Folders {
 public:
  Folders() {
    std::string pattern = "/tmp/gatehouse-probe-XXXXXX";
    path = mkdtemp(pattern.data());
    for (const char* name : {"audit", "vault", "state", "volumes"}) {
      std::filesystem::create_directory(path + "/" + name);
    }
  }
  ~Folders() { std::filesystem::remove_all(path); }
  std::string path;
};

// Without this the next test would prove nothing: unconfined, the same attempts get through.
TEST(Probe, FindsEverythingThatAnUnconfinedProcessCanDo) {
  const Folders folders;
  const auto can = tried({folders.path, {getpid()}});
  EXPECT_EQ(can.size(), kAbilities);
  for (const Ability ability :
       {Ability::kListRoot, Ability::kMakeFile, Ability::kReadAudit, Ability::kReadVault,
        Ability::kReadState, Ability::kReadVolumes, Ability::kInternet, Ability::kUnixSocket,
        Ability::kNetlink, Ability::kExecute, Ability::kThread, Ability::kNamespaces,
        Ability::kMount, Ability::kTrace, Ability::kReadMemory, Ability::kSignal}) {
    EXPECT_TRUE(can.at(ability)) << text(ability);
  }
  if (geteuid() == 0) {
    EXPECT_TRUE(can.at(Ability::kReadShadow));
    EXPECT_TRUE(can.at(Ability::kBecomeRoot));
  }
}

TEST(Probe, FindsNothingLeftInAConfinedOneButWhatItWasGiven) {
  const Folders folders;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    Confinement plan;
    plan.network = Network::kOutbound;
    plan.readable = {folders.path + "/audit"};
    if (!confine(plan)) _exit(100);
    int wrong = 0;
    for (const auto& [ability, possible] : tried({folders.path, {parent}})) {
      const bool given = ability == Ability::kReadAudit || ability == Ability::kInternet;
      // Without a uid of its own it is root if it was.
      const bool by_uid = ability == Ability::kBecomeRoot;
      const bool by_sanitizer =
          kSanitized && (ability == Ability::kThread || ability == Ability::kTrace);
      if (possible != given && !by_uid && !by_sanitizer) wrong = static_cast<int>(ability) + 1;
    }
    _exit(wrong);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0)
      << (WEXITSTATUS(status) == 100 ? "it could not be confined"
                                     : text(static_cast<Ability>(WEXITSTATUS(status) - 1)));
}

}  // namespace
}  // namespace gatehouse::ipc
