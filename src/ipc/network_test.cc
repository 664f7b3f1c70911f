// SPDX-License-Identifier: Apache-2.0
#include "ipc/network.h"

#include <gtest/gtest.h>

namespace gatehouse::ipc {
namespace {

TEST(NoProxy, IsAHostADomainAnAddressOrAPrefix) {
  for (const char* text :
       {"a.example", "*.example", "10.0.0.0/8", "10.0.0.1", "::/0", "fd00::/8", "0.0.0.0/0"}) {
    EXPECT_TRUE(is_no_proxy(text)) << text;
  }
  for (const char* text : {"", "*", "*.", "A.example", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/x",
                           "fd00::/129", "*.10.0.0.1", "a.example:80", "a/8", "[::1]"}) {
    EXPECT_FALSE(is_no_proxy(text)) << text;
  }
}

}  // namespace
}  // namespace gatehouse::ipc
