// SPDX-License-Identifier: Apache-2.0
#include "audit/outbox.h"

#include <gtest/gtest.h>

#include <string>

namespace gatehouse::audit {
namespace {

using Batch = std::vector<std::string>;

TEST(Outbox, GivesWhatTellsOfAnEndOnceItIsDurable) {
  Outbox outbox;
  outbox.begin();
  outbox.take(Kind::kIntent, "intent");
  outbox.take(Kind::kVaultUse, "use");
  outbox.take(Kind::kSettled, "settled");
  outbox.take(Kind::kRunEnded, "ended");
  EXPECT_EQ(outbox.next(), Batch());
  outbox.release();
  outbox.take(Kind::kRefused, "refused");
  EXPECT_EQ(outbox.next(), (Batch{"settled", "ended"}));
  EXPECT_EQ(outbox.next(), Batch());
  outbox.release();
  EXPECT_EQ(outbox.next(), Batch{"refused"});
}

TEST(Outbox, KeepsNothingWhereNobodyIsToBeTold) {
  Outbox outbox;
  outbox.take(Kind::kSettled, "before there was an exporter");
  outbox.begin();
  outbox.release();
  EXPECT_EQ(outbox.next(), Batch());
}

TEST(Outbox, GivesAgainInOrderWhatWasNotTaken) {
  Outbox outbox;
  outbox.begin();
  const std::string large(Outbox::kBatchMost - 10, 'x');
  for (const std::string& entry : {large, std::string("second"), std::string("third, longer")}) {
    outbox.take(Kind::kSettled, entry);
  }
  outbox.release();
  Batch first = outbox.next();
  EXPECT_EQ(first, (Batch{large, "second"}));
  outbox.put_back(std::move(first));
  EXPECT_EQ(outbox.next(), (Batch{large, "second"}));
  EXPECT_EQ(outbox.next(), Batch{"third, longer"});
}

TEST(Outbox, DropsAndCountsWhatDoesNotFit) {
  Outbox outbox;
  outbox.begin();
  const std::string entry(32 * 1024, 'x');
  const std::size_t fit = Outbox::kBytesMost / entry.size();
  for (std::size_t i = 0; i < fit + 3; ++i) outbox.take(Kind::kSettled, entry);
  EXPECT_EQ(outbox.dropped(), 3u);
  outbox.release();
  std::size_t given = 0;
  while (!outbox.next().empty()) ++given;
  EXPECT_EQ(given, fit);
  outbox.take(Kind::kSettled, entry);
  EXPECT_EQ(outbox.dropped(), 3u) << "there is room again";
}

}  // namespace
}  // namespace gatehouse::audit
