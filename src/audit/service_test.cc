// SPDX-License-Identifier: Apache-2.0
// The book and a gateway that is captured: what it puts into its ring is the gateway's word at
// most.
#include "audit/service.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <map>

#include "audit/digest.h"
#include "base/random.h"
#include "net/sim_file.h"

namespace gatehouse::audit {
namespace {

struct Book {
  std::unique_ptr<net::SimFileSystem> disk = net::make_sim_file_system(1);
  net::FileSystem& files = *disk;
  Service service{std::move(*Log::open(files))};
  std::unique_ptr<ipc::RingWriter> writer = std::move(*ipc::RingWriter::make());
  std::uint64_t ring = *service.add_ring(
      std::move(*ipc::RingReader::open(net::Descriptor(dup(writer->memory_fd())),
                                       net::Descriptor(dup(writer->reader_bell_fd())))),
      "gateway");

  void put(ipc::RecordType type, std::string_view bytes) {
    const std::array<std::string_view, 1> parts = {bytes};
    ASSERT_TRUE(writer->append(type, parts));
  }
};

std::string entry_of(Kind kind, const std::string& role) {
  Entry entry;
  entry.kind = kind;
  entry.role = role;
  return *encode(entry);
}

TEST(Service, ARoleWritesWhatIsItsOwnUnderItsOwnName) {
  Book book;
  EXPECT_TRUE(book.service.append(entry_of(Kind::kVaultUse, "vault"), "vault"));
  EXPECT_TRUE(book.service.append(entry_of(Kind::kKilled, "supervisor"), "supervisor"));
  for (const auto& [kind, claimed, role] :
       std::initializer_list<std::tuple<Kind, const char*, const char*>>{
           {Kind::kVaultUse, "vault", "control"},
           {Kind::kVaultUse, "control", "control"},
           {Kind::kKilled, "control", "control"},
           {Kind::kRunEnded, "sandboxd", "sandboxd"},
           {Kind::kIntent, "vault", "vault"}}) {
    const auto refused = book.service.append(entry_of(kind, claimed), role);
    ASSERT_FALSE(refused) << role;
    EXPECT_EQ(refused.error(), Error::kDenied);
  }
}

TEST(Service, WhatAGatewayWroteBeforeItAskedStandsBeforeTheAnswersUse) {
  Book book;
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "gateway"));
  ASSERT_TRUE(book.service.append(entry_of(Kind::kVaultUse, "vault"), "vault"));
  ASSERT_TRUE(book.service.pump());
  ASSERT_EQ(book.service.log().size(), 2U);
  EXPECT_EQ(decode(*book.service.log().read(0))->kind, Kind::kIntent);
  EXPECT_EQ(decode(*book.service.log().read(1))->kind, Kind::kVaultUse);
}

TEST(Service, WhatTheVaultToldInItsRingStandsBehindTheIntentThatItIsOf) {
  Book book;
  const auto vault = std::move(*ipc::RingWriter::make());
  ASSERT_TRUE(book.service.add_ring(
      std::move(*ipc::RingReader::open(net::Descriptor(dup(vault->memory_fd())),
                                       net::Descriptor(dup(vault->reader_bell_fd())))),
      "vault"));
  const auto put_use = [&](const std::string& bytes, ipc::RecordType type) {
    const std::array<std::string_view, 1> parts = {bytes};
    ASSERT_TRUE(vault->append(type, parts));
  };
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "gateway"));
  put_use(entry_of(Kind::kVaultUse, "vault"), ipc::RecordType::kEntry);
  put_use(entry_of(Kind::kIntent, "gateway"), ipc::RecordType::kEntry);
  put_use(body_payload({{}, {}, true, "x", 0}), ipc::RecordType::kBody);
  ASSERT_TRUE(book.service.pump());
  ASSERT_EQ(book.service.log().size(), 2U) << "it writes what is its own, and no bodies";
  EXPECT_EQ(decode(*book.service.log().read(0))->kind, Kind::kIntent);
  EXPECT_EQ(decode(*book.service.log().read(1))->kind, Kind::kVaultUse);
  EXPECT_FALSE(vault->want(1));
}

std::uint64_t counted(const Service& service, std::string_view name) {
  for (const ipc::Counter& counter : service.counters().counters) {
    if (counter.name == name) return counter.value;
  }
  return UINT64_MAX;
}

TEST(Service, SaysThatTheLogCannotBeWrittenUntilItCan) {
  Book book;
  ASSERT_TRUE(book.service.append(entry_of(Kind::kVaultUse, "vault"), "vault"));
  book.disk->fail_after(1, Error::kExhausted);
  EXPECT_FALSE(book.service.pump());
  EXPECT_EQ(counted(book.service, "cannot_write"), 1U);
  EXPECT_EQ(counted(book.service, "commits.failed"), 1U);
  EXPECT_EQ(counted(book.service, "entries"), 0U);
  EXPECT_TRUE(book.service.pump());
  EXPECT_EQ(counted(book.service, "cannot_write"), 0U);
  EXPECT_EQ(counted(book.service, "commits"), 1U);
  EXPECT_EQ(counted(book.service, "entries"), 1U);
}

TEST(Service, AnActOnTheHouseIsOfControlOrTheSupervisor) {
  Book book;
  for (const char* role : {"control", "supervisor"}) {
    EXPECT_TRUE(book.service.append(entry_of(Kind::kAdministered, role), role)) << role;
  }
  for (const char* role : {"gateway", "vault", "courier", "sandboxd"}) {
    EXPECT_FALSE(book.service.append(entry_of(Kind::kAdministered, role), role)) << role;
  }
}

TEST(Service, AGatewayCannotPutWordsIntoAnothersMouth) {
  Book book;
  for (const Kind kind :
       {Kind::kVaultUse, Kind::kKilled, Kind::kRevived, Kind::kRunStarted, Kind::kRunEnded,
        Kind::kConfigChanged, Kind::kAdministered, Kind::kTranscriptRead}) {
    for (const char* role : {"gateway", "vault", "supervisor", "control"}) {
      book.put(ipc::RecordType::kEntry, entry_of(kind, role));
    }
  }
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "vault"));
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "gateway"));
  ASSERT_TRUE(*book.service.pump());
  ASSERT_EQ(book.service.log().size(), 1u);
  EXPECT_EQ(decode(*book.service.log().read(0))->role, "gateway");
}

TEST(Service, WhatDoesNotBelongIsDroppedAndTheRestIsWrittenDown) {
  SeededRandom random(7);
  Book book;
  std::uint64_t good = 0;
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes = entry_of(Kind::kIntent, "gateway");
    if (random.below(3) == 0) {
      bytes[random.below(bytes.size())] ^= static_cast<char>(1 + random.below(255));
      if (const auto still = decode(bytes); still && still->role == "gateway") continue;
    } else {
      ++good;
    }
    const bool as_body = random.below(10) == 0;
    if (as_body) book.put(ipc::RecordType::kBody, bytes.substr(0, random.below(60)));
    book.put(ipc::RecordType::kEntry, bytes);
  }
  while (*book.service.pump()) continue;
  EXPECT_EQ(book.service.log().size(), good);
  EXPECT_TRUE(book.service.append(entry_of(Kind::kVaultUse, "vault"), "vault"));
  EXPECT_TRUE(*book.service.pump()) << "the others go on";
}

TEST(Service, ABodyThatIsCompleteIsNotAddedTo) {
  Book book;
  ObjectId object{};
  object[0] = 7;
  const Digest salt{};
  book.put(ipc::RecordType::kBody, body_payload({object, salt, false, "what was "}));
  book.put(ipc::RecordType::kBody, body_payload({object, salt, true, "said", 9}));
  book.put(ipc::RecordType::kBody, body_payload({object, salt, true, ", it claims later", 13}));
  ASSERT_TRUE(*book.service.pump());
  EXPECT_EQ(*book.service.log().read_body(object, 0, 100), "what was said");
  book.put(ipc::RecordType::kBody, body_payload({object, salt, true, ", it claims again", 13}));
  (void)book.service.pump();
  auto again = Log::open(book.files);
  ASSERT_TRUE(again);
  EXPECT_FALSE((*again)->append_body({object, salt, true, "after a restart", 13}));
  EXPECT_EQ(*(*again)->read_body(object, 0, 100), "what was said");
}

std::string exchange_entry(Kind kind, ExchangeId exchange, std::size_t padding = 0) {
  Entry entry;
  entry.kind = kind;
  entry.role = "gateway";
  entry.exchange = exchange;
  entry.add("path", "/" + std::string(padding, 'p'));
  return *encode(entry);
}

// What a log holds of Exchanges: how many began, and by whom each was ended.
struct Told {
  std::size_t intents = 0;
  std::map<ExchangeId, std::vector<std::string>> ends;
};
Told told_by(Log& log) {
  Told told;
  for (std::uint64_t i = 0; i < log.size(); ++i) {
    const auto entry = decode(*log.read(i));
    if (entry->kind == Kind::kIntent) ++told.intents;
    if (entry->kind != Kind::kSettled) continue;
    told.ends[*entry->exchange].push_back(entry->role + " " + std::string(entry->tag("state")));
  }
  return told;
}

TEST(Service, EndsOnRecordWhatAGatewayThatIsGoneHadUnderWay) {
  Book book;
  const ExchangeId ended = ExchangeId::fresh();
  const ExchangeId open = ExchangeId::fresh();
  book.put(ipc::RecordType::kEntry, exchange_entry(Kind::kIntent, ended));
  book.put(ipc::RecordType::kEntry, exchange_entry(Kind::kIntent, open));
  ASSERT_TRUE(*book.service.pump());
  book.put(ipc::RecordType::kEntry, exchange_entry(Kind::kSettled, ended));
  book.service.retire(book.ring);
  ASSERT_TRUE(*book.service.pump());
  const Told told = told_by(book.service.log());
  EXPECT_EQ(told.intents, 2u);
  ASSERT_TRUE(told.ends.contains(ended) && told.ends.contains(open));
  EXPECT_EQ(told.ends.at(ended), std::vector<std::string>{"gateway "}) << "it said so itself";
  EXPECT_EQ(told.ends.at(open), std::vector<std::string>{"audit cut"});
}

TEST(Service, FinishesWithAllThatWasWritten) {
  Book book;
  std::vector<ExchangeId> open;
  for (int i = 0; i < 3'000; ++i) {
    open.push_back(ExchangeId::fresh());
    book.put(ipc::RecordType::kEntry, exchange_entry(Kind::kIntent, open.back()));
  }
  ASSERT_TRUE(book.service.finish());
  const Told told = told_by(book.service.log());
  EXPECT_EQ(told.intents, open.size());
  for (const ExchangeId& exchange : open) {
    ASSERT_TRUE(told.ends.contains(exchange));
    EXPECT_EQ(told.ends.at(exchange), std::vector<std::string>{"audit cut"});
  }
}

// The gaps that a log tells of.
std::vector<Entry> gaps_of(Log& log) {
  std::vector<Entry> gaps;
  for (std::uint64_t i = 0; i < log.size(); ++i) {
    Entry entry = *decode(*log.read(i));
    if (entry.kind == Kind::kGap) gaps.push_back(std::move(entry));
  }
  return gaps;
}

// Puts a header that no writer makes `at` so many bytes in the ring.
void spoil(const Book& book, std::size_t at) {
  constexpr std::size_t kBytesAt = 256;  // as ipc/ring.cc has it
  const std::array<std::uint32_t, 2> header = {0xffffffffU, 99};
  ASSERT_EQ(pwrite(book.writer->memory_fd(), header.data(), sizeof header,
                   static_cast<off_t>(kBytesAt + at)),
            ssize_t{sizeof header});
}

TEST(Service, ARingThatCannotBeReadToItsEndIsAGapOnRecordWithItsSize) {
  Book book;
  const ExchangeId open = ExchangeId::fresh();
  const std::string first = exchange_entry(Kind::kIntent, open);
  const std::string second = exchange_entry(Kind::kSettled, open);
  book.put(ipc::RecordType::kEntry, first);
  const std::size_t behind = 8 + (first.size() + 7) / 8 * 8;
  book.put(ipc::RecordType::kEntry, second);
  const std::size_t lost = 8 + (second.size() + 7) / 8 * 8;
  spoil(book, behind);
  book.service.retire(book.ring);  // its gateway has died too
  ASSERT_TRUE(*book.service.pump());

  const std::vector<Entry> gaps = gaps_of(book.service.log());
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].role, "audit");
  EXPECT_EQ(gaps[0].tag("bytes"), std::to_string(lost));
  EXPECT_TRUE(gaps[0].tag("reason").contains("abandoned"));
  EXPECT_EQ(told_by(book.service.log()).ends.at(open), std::vector<std::string>{"audit cut"})
      << "what it had under way has an end, though not its own";
  EXPECT_EQ(counted(book.service, "rings"), 0U);
  EXPECT_EQ(counted(book.service, "rings.abandoned"), 1U);
  EXPECT_FALSE(*book.service.pump()) << "once";
}

TEST(Service, WhatARingClaimsToHoldIsBelievedNoFurtherThanItsSize) {
  Book book;
  const std::uint64_t claimed = ~0ULL;
  spoil(book, 0);
  ASSERT_EQ(pwrite(book.writer->memory_fd(), &claimed, sizeof claimed, 0), ssize_t{8});
  ASSERT_TRUE(*book.service.pump());
  const std::vector<Entry> gaps = gaps_of(book.service.log());
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].tag("bytes"), std::to_string(ipc::kRingBytes));
}

TEST(Service, WhatWasDroppedOfAGatewaysRecordsIsOnRecordWhenItGoes) {
  Book book;
  for (int i = 0; i < 3; ++i) book.put(ipc::RecordType::kEntry, entry_of(Kind::kKilled, "vault"));
  ASSERT_FALSE(*book.service.pump());
  book.service.retire(book.ring);
  ASSERT_TRUE(*book.service.pump());
  const std::vector<Entry> gaps = gaps_of(book.service.log());
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].tag("records"), "3");
  EXPECT_EQ(gaps[0].tag("bytes"), "0");
}

TEST(Service, AGatewayThatLeavesNothingBehindLeavesNoGap) {
  Book book;
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "gateway"));
  book.service.retire(book.ring);
  ASSERT_TRUE(*book.service.pump());
  EXPECT_TRUE(gaps_of(book.service.log()).empty());
}

TEST(Service, AGatewayThatOpensWithoutEndTakesNoEndlessMemory) {
  Book book;
  constexpr std::size_t kPadding = 30'000;
  constexpr std::size_t kExchanges = 2000;  // twice what is remembered
  for (std::size_t i = 0; i < kExchanges; ++i) {
    book.put(ipc::RecordType::kEntry, exchange_entry(Kind::kIntent, ExchangeId::fresh(), kPadding));
    if (i % 10 == 0) ASSERT_TRUE(book.service.pump());
  }
  book.service.retire(book.ring);
  while (*book.service.pump()) {
  }
  const Told told = told_by(book.service.log());
  EXPECT_EQ(told.intents, kExchanges);
  EXPECT_GT(told.ends.size(), 1000u);
  EXPECT_LT(told.ends.size(), 1200u);
  const std::vector<Entry> gaps = gaps_of(book.service.log());
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].tag("in_doubt"), std::to_string(kExchanges - told.ends.size()));
}

TEST(Service, ARingIsEmptiedBeforeItGoesAndThereAreOnlySoMany) {
  Book book;
  book.put(ipc::RecordType::kEntry, entry_of(Kind::kIntent, "gateway"));
  book.service.retire(book.ring);
  ASSERT_TRUE(*book.service.pump());
  EXPECT_EQ(book.service.log().size(), 1u);
  book.writer.reset();
  std::size_t taken = 0;
  for (std::size_t i = 0; i < Service::kRingsMost + 5; ++i) {
    const auto writer = std::move(*ipc::RingWriter::make());
    auto reader = ipc::RingReader::open(net::Descriptor(dup(writer->memory_fd())),
                                        net::Descriptor(dup(writer->reader_bell_fd())));
    if (book.service.add_ring(std::move(*reader), "gateway")) ++taken;
  }
  EXPECT_EQ(taken, Service::kRingsMost) << "the one that was retired is gone";
}

}  // namespace
}  // namespace gatehouse::audit
