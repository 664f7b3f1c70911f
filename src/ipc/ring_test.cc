// SPDX-License-Identifier: Apache-2.0
#include "ipc/ring.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "base/random.h"

namespace gatehouse::ipc {
namespace {

struct Ring {
  std::unique_ptr<RingWriter> writer = std::move(*RingWriter::make());
  std::unique_ptr<RingReader> reader = [this] {
    auto opened = RingReader::open(net::Descriptor(dup(writer->memory_fd())),
                                   net::Descriptor(dup(writer->reader_bell_fd())));
    writer->forget_reader_bell();
    return std::move(*opened);
  }();
  std::optional<std::uint64_t> put(std::string_view text) {
    const std::array<std::string_view, 1> parts = {text};
    return writer->append(RecordType::kEntry, parts);
  }
};

TEST(Ring, GivesRecordsWholeAndInOrderOverManyTurns) {
  Ring ring;
  SeededRandom random(1);
  std::string big(900'000, 'x');
  std::uint64_t total = 0;
  for (int i = 0; total < 3 * kRingBytes; ++i) {
    const std::string text =
        std::to_string(i) + ":" + big.substr(0, static_cast<std::size_t>(random.below(big.size())));
    total += text.size();
    ASSERT_TRUE(ring.put(text)) << i;
    const auto record = ring.reader->next();
    ASSERT_TRUE(record && *record) << i;
    EXPECT_EQ((*record)->bytes, text);
    ring.reader->publish_durable();
  }
}

TEST(Ring, SaysWhenItIsFullAndGoesOnWhenThereIsRoom) {
  Ring ring;
  const std::string piece(1'000'000, 'x');
  int count = 0;
  while (ring.put(piece)) ++count;
  EXPECT_GT(count, 22);
  ASSERT_TRUE(*ring.reader->next());
  EXPECT_FALSE(ring.put(piece)) << "room is free only when it is durable";
  ring.reader->publish_durable();
  EXPECT_TRUE(ring.put(piece));
}

TEST(Ring, AWriterLearnsWhenItsRecordIsDurable) {
  Ring ring;
  const auto position = ring.put("intent");
  ASSERT_TRUE(position);
  EXPECT_TRUE(ring.writer->want(*position));
  ASSERT_TRUE(*ring.reader->next());
  ring.reader->publish_durable();
  EXPECT_FALSE(ring.writer->want(*position));
  EXPECT_GE(ring.writer->durable(), *position);
}

TEST(Ring, AReaderThatLingersIsWokenOnlyForWhoWaits) {
  Ring ring;
  ASSERT_TRUE(ring.put("settled"));
  ASSERT_TRUE(ring.reader->prepare_to_linger());
  const auto rings = [&] {
    char bell = 0;
    return recv(ring.reader->bell_fd(), &bell, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
  };
  const auto intent = ring.put("intent");
  ASSERT_TRUE(intent);
  EXPECT_FALSE(rings()) << "nobody waits for it";
  EXPECT_TRUE(ring.writer->want(*intent));
  EXPECT_TRUE(rings());
  ring.reader->woken();
  EXPECT_FALSE(ring.reader->prepare_to_linger()) << "somebody waits";
  while (*ring.reader->next()) continue;
  ring.reader->publish_durable();
  EXPECT_TRUE(ring.reader->prepare_to_linger());
}

TEST(Ring, AReaderThatSleepsIsLeftAloneUntilItIsRousedOrSomebodyWaits) {
  Ring ring;
  const auto rings = [&] {
    char bell = 0;
    return recv(ring.reader->bell_fd(), &bell, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
  };
  EXPECT_FALSE(ring.writer->is_reader_asleep());
  ring.writer->rouse();
  EXPECT_FALSE(rings()) << "it does not sleep";
  ASSERT_TRUE(ring.reader->prepare_to_sleep());
  ASSERT_TRUE(ring.put("settled"));
  EXPECT_TRUE(ring.writer->is_reader_asleep());
  EXPECT_FALSE(rings());
  ring.writer->rouse();
  EXPECT_TRUE(rings());
  ring.reader->woken();
  EXPECT_FALSE(ring.reader->prepare_to_sleep()) << "there is something to read";
  while (*ring.reader->next()) continue;
  ASSERT_TRUE(ring.reader->prepare_to_sleep());
  const auto intent = ring.put("intent");
  ASSERT_TRUE(intent);
  EXPECT_TRUE(ring.writer->want(*intent));
  EXPECT_TRUE(rings());
}

TEST(Ring, AThreadOnEachSideLosesNothing) {
  Ring ring;
  constexpr int kCount = 50'000;
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) {
      while (!ring.put(std::to_string(i))) std::this_thread::yield();
    }
  });
  int next = 0;
  while (next < kCount) {
    const auto record = ring.reader->next();
    ASSERT_TRUE(record);
    if (!*record) {
      ring.reader->publish_durable();
      if (ring.reader->prepare_to_sleep()) std::this_thread::yield();
      ring.reader->woken();
      continue;
    }
    ASSERT_EQ((*record)->bytes, std::to_string(next));
    ++next;
  }
  producer.join();
}

TEST(Ring, AHostileWriterIsFoundOutOrHarmless) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Ring ring;
    SeededRandom random(seed);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(ring.put(std::string(random.below(2000), 'y')));
    constexpr std::size_t kHead = 64 * 5;
    auto* memory = static_cast<char*>(mmap(nullptr, kHead + kRingBytes, PROT_READ | PROT_WRITE,
                                           MAP_SHARED, ring.writer->memory_fd(), 0));
    ASSERT_NE(memory, MAP_FAILED);
    for (int i = 0; i < 200; ++i) {
      memory[random.below(kHead + 60'000)] = static_cast<char>(random());
    }
    for (int i = 0; i < 100'000; ++i) {
      const auto record = ring.reader->next();
      if (!record || !*record) break;
      ASSERT_LE((*record)->bytes.size(), kRecordMost);
    }
    munmap(memory, kHead + kRingBytes);
  }
}

TEST(Ring, MemoryThatCanShrinkIsRefused) {
  Ring ring;
  const int plain = memfd_create("plain", MFD_CLOEXEC);
  std::array<int, 2> bell{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bell.data()), 0);
  EXPECT_FALSE(RingReader::open(net::Descriptor(plain), net::Descriptor(bell[0])));
  close(bell[1]);
}

TEST(Ring, ABellThatCouldMakeTheReaderWaitIsRefused) {
  Ring ring;
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  for (const int fd : {ends[0], ends[1], eventfd(0, 0), socket(AF_INET, SOCK_DGRAM, 0)}) {
    EXPECT_FALSE(
        RingReader::open(net::Descriptor(dup(ring.writer->memory_fd())), net::Descriptor(fd)));
  }
}

// The writer may fill the bell, never answer it, or make its own end wait: the reader does not.
TEST(Ring, AFloodedBellHoldsNobodyUp) {
  Ring ring;
  while (send(ring.writer->bell_fd(), "!", 1, MSG_DONTWAIT) == 1) continue;
  ring.reader->woken();
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(ring.put("x"));
    ASSERT_TRUE(*ring.reader->next());
    ring.reader->publish_durable();
    (void)ring.writer->want(1);
  }
  EXPECT_FALSE(is_bell_dead(ring.reader->bell_fd()));
  const int bell = dup(ring.reader->bell_fd());
  char taken = 0;
  ring.writer.reset();
  while (recv(bell, &taken, 1, MSG_DONTWAIT) != 0) continue;
  EXPECT_TRUE(is_bell_dead(bell));
  close(bell);
}

}  // namespace
}  // namespace gatehouse::ipc
