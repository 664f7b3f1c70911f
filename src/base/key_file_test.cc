// SPDX-License-Identifier: Apache-2.0
#include "base/key_file.h"

#include <gtest/gtest.h>

#include <string>

namespace gatehouse {
namespace {

const std::string kKey = "0123456789abcdef0123456789abcdef";

std::string written() {
  const Secret bytes = key_file_bytes(kRootKeyFormat, Secret(kKey));
  return std::string(bytes.open(Purpose::kCompare));
}

TEST(KeyFile, IsReadAsItWasWritten) {
  EXPECT_EQ(written().substr(0, 40), "GHROOTK1" + kKey);
  const auto found = parse_key_file(kRootKeyFormat, written());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, 1U);
  EXPECT_TRUE(found->key == Secret(kKey));
}

TEST(KeyFile, OfBeforeThereWasAVersionIsTheKeyAlone) {
  const auto found = parse_key_file(kRootKeyFormat, kKey);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, 0U);
  EXPECT_TRUE(found->key == Secret(kKey));
}

TEST(KeyFile, ThatWasChangedOrCutIsDamagedAndNotAnotherKey) {
  const std::string whole = written();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x40);
    EXPECT_EQ(parse_key_file(kRootKeyFormat, flipped).error(), Error::kCorrupt) << at;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size == kKeySize) continue;  // 32 bytes are a key of before there was a version
    EXPECT_FALSE(parse_key_file(kRootKeyFormat, whole.substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_key_file(kRootKeyFormat, whole + "x"));
  EXPECT_FALSE(parse_key_file(kHouseKeyFormat, whole)) << "one kind of key is not the other";
}

TEST(KeyFile, OfANewerGatehouseIsRefusedAsSuch) {
  std::string newer = written() + "and more";
  newer[7] = '2';
  const auto refused = parse_key_file(kRootKeyFormat, newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_EQ(refused.error().message(),
            "made by a newer gatehouse: the vault's root key is of version 2, and this gatehouse "
            "reads up to 1; run that one, or restore a backup");
}

}  // namespace
}  // namespace gatehouse
