// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>

#include "host/building.h"
#include "host/cgroup.h"
#include "host/user_namespace.h"

namespace gatehouse::host {
namespace {

// Each obstacle names one setting, and that one only.
TEST(Remedy, IsTheOneSettingThatIsMissing) {
  struct Case {
    Obstacle obstacle;
    Signs signs;
    const char* setting;
  };
  const Signs docker{true, "127000", "", "", "docker-default (enforce)", true};
  const std::vector<Case> cases = {
      {{Step::kUserNamespace, EPERM},
       docker,
       "--security-opt seccomp=/usr/share/gatehouse/seccomp.json"},
      {{Step::kMounts, EACCES}, docker, "--security-opt apparmor=unconfined"},
      {{Step::kProc, EPERM}, docker, "--security-opt systempaths=unconfined"},
      {{Step::kUserNamespace, ENOSPC}, {}, "sysctl -w user.max_user_namespaces=15000"},
      {{Step::kUserNamespace, ENOSPC}, {false, "0", "", "", "", false}, "user.max_user_namespaces"},
      {{Step::kUserNamespace, EPERM},
       {false, "127000", "0", "", "", false},
       "sysctl -w kernel.unprivileged_userns_clone=1"},
      {{Step::kMapping, EACCES},
       {false, "127000", "1", "1", "unconfined", false},
       "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
      {{Step::kUserNamespace, EINVAL}, {}, "CONFIG_USER_NS=y"},
      {{Step::kMounts, EPERM},
       {true, "127000", "", "", "", false},
       "--security-opt seccomp=/usr/share/gatehouse/seccomp.json"},
      {{Step::kNetwork, EPERM}, {}, "docs/modes.md"},
  };
  const std::vector<const char*> all = {"seccomp=/usr",
                                        "apparmor=unconfined",
                                        "systempaths",
                                        "max_user_namespaces=",
                                        "unprivileged_userns_clone=",
                                        "restrict_unprivileged_userns=",
                                        "CONFIG_USER_NS",
                                        "docs/modes.md"};
  for (const Case& each : cases) {
    const std::string said = remedy_for(each.obstacle, each.signs);
    EXPECT_TRUE(said.contains(each.setting)) << said;
    EXPECT_TRUE(said.contains("no run starts")) << said;
    int settings = 0;
    for (const char* other : all) settings += said.contains(other) ? 1 : 0;
    EXPECT_EQ(settings, 1) << said;
  }
}

TEST(SubIds, AreTheFirstRangeOfTheUserThatIsLargeEnough) {
  const std::string file =
      "# comment\nbob:100000:65536\nalice:200000:10\nalice:300000:65536\n1000:400000:2000\n";
  EXPECT_EQ(parse_subids(file, "alice", 1, kRangeLeast), (IdRange{1, 300000, 65536}));
  EXPECT_EQ(parse_subids(file, "carol", 1000, kRangeLeast), (IdRange{1, 400000, 2000}));
  EXPECT_EQ(parse_subids(file, "mallory", 1, kRangeLeast), std::nullopt);
}

TEST(SubIds, ThatAreNoneOrLeadToTheHostsRootAreNotTaken) {
  for (const char* line :
       {"alice:0:65536", "alice:100000", "alice:x:65536", "alice:100000:x", "alice:100000:1023",
        "alice:4294967295:65536", "alice:100000:65536:", ":100000:65536", "alice::65536", "alice",
        "alice:-1:65536", "alice: 100000:65536", ""}) {
    EXPECT_EQ(parse_subids(line, "alice", 7, kRangeLeast), std::nullopt) << line;
    EXPECT_EQ(parse_subids(line, "", 7, kRangeLeast), std::nullopt) << line;
  }
}

TEST(Cgroups, AreNotMadeWhereThereIsNoPlaceForThemAndThatIsSaid) {
  const auto group = Cgroup::make(kNoCgroups, "trial-of-a-test", {1 << 20, 16});
  ASSERT_TRUE(group);
  EXPECT_FALSE((*group)->is_whole());
  EXPECT_FALSE((*group)->can_freeze());
  EXPECT_EQ((*group)->not_enforced().size(), 3u);
  EXPECT_TRUE(limits_refusal((*group)->not_enforced()).contains("--limits=best-effort"));
}

// The trial is made in a process that ends: what it tried leaves nothing behind in this one.
TEST(Building, LeavesThisProcessWhereItWas) {
  const bool was_root_outside = is_root_outside();
  static_cast<void>(try_building(true));
  EXPECT_EQ(is_root_outside(), was_root_outside);
}

}  // namespace
}  // namespace gatehouse::host
