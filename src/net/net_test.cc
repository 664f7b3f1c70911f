// SPDX-License-Identifier: Apache-2.0
// The promises of Task, Nursery, Event and both Loops.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "net/nursery.h"
#include "net/real_loop.h"
#include "net/sim_loop.h"
#include "net/turn.h"

namespace gatehouse::net {
namespace {

Task<int> answer() { co_return 42; }
Task<int> sum_of(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await sum_of(depth - 1);
}

TEST(Task, RunsOnlyWhenAwaited) {
  auto loop = make_sim_loop(1);
  EXPECT_EQ(loop->run_until_done(answer()), 42);
  EXPECT_EQ(loop->run_until_done(sum_of(20'000)), 20'000);
}

TEST(Task, AConditionThatAwaitsDoesRun) {  // what g++ 12 gets wrong
  auto loop = make_sim_loop(1);
  const auto value = loop->run_until_done([](this auto) -> Task<int> {
    if (co_await answer() == 42) co_return 1;
    co_return 0;
  }());
  EXPECT_EQ(value, 1);
}

// Counts its destructions: what a cancelled task must not leak.
struct Guard {
  int* count;
  ~Guard() { ++*count; }
};

TEST(Nursery, CancelsWhatStillRuns) {
  auto loop = make_sim_loop(1);
  int destroyed = 0;
  {
    Nursery nursery(*loop);
    for (int i = 0; i < 3; ++i) {
      nursery.spawn([](this auto, Loop* l, int* count) -> Task<void> {
        const Guard guard{count};
        co_await l->sleep_for(1s);
      }(loop.get(), &destroyed));
    }
    loop->run_for(10ms);
    EXPECT_EQ(nursery.size(), 3u);
    EXPECT_EQ(destroyed, 0);
  }
  EXPECT_EQ(destroyed, 3);
}

TEST(Nursery, CountsATaskThatThrowsAndGoesOn) {
  auto loop = make_sim_loop(1);
  Nursery nursery(*loop);
  const unsigned long before = tasks_failed();
  nursery.spawn([](this auto) -> Task<void> {
    throw std::runtime_error("on purpose");
    co_return;
  }());
  loop->run_for(1ms);
  EXPECT_EQ(nursery.size(), 0u);
  EXPECT_EQ(tasks_failed(), before + 1);
}

TEST(Turns, AreOneAtATimeAndAreGivenBackByWhoIsCancelled) {
  auto loop = make_sim_loop(1);
  Turns turns(*loop);
  std::string story;
  const auto work = [](this auto, Loop* in, Turns* of, char name, std::string* out) -> Task<void> {
    const Turn turn = co_await of->take();
    *out += name;
    co_await in->sleep_for(1s);
    *out += name;
  };
  Nursery tasks(*loop);
  Nursery::Child* first = tasks.spawn(work(loop.get(), &turns, 'a', &story));
  loop->run_for(500ms);
  tasks.spawn(work(loop.get(), &turns, 'b', &story));
  tasks.spawn(work(loop.get(), &turns, 'c', &story));
  loop->run_for(200ms);
  EXPECT_EQ(story, "a");
  EXPECT_TRUE(turns.is_taken());
  tasks.cancel(first);
  loop->run_for(10s);
  EXPECT_TRUE(story == "abbcc" || story == "accbb") << story;
  EXPECT_FALSE(turns.is_taken());
}

TEST(Event, WakesEveryWaiterAndTimesOutTheRest) {
  auto loop = make_sim_loop(3);
  Event event(*loop);
  int woken = 0;
  int late = 0;
  Nursery nursery(*loop);
  for (int i = 1; i <= 4; ++i) {
    nursery.spawn([](this auto, Event* e, Deadline d, int* ok, int* no) -> Task<void> {
      const Result<void> result = co_await e->wait(d);
      ++*(result ? ok : no);
    }(&event, loop->in(i * 10ms), &woken, &late));
  }
  loop->run_for(25ms);
  event.set();
  loop->run_for(100ms);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(late, 2);
}

class NotedAtTurnEnd : public AtTurnEnd {
 public:
  NotedAtTurnEnd(Loop& loop, std::string& notes) : AtTurnEnd(loop), notes_(notes) {}

 private:
  void act() override { notes_ += "a"; }
  std::string& notes_;
};

Task<void> noting(Loop* loop, std::string* notes) {
  *notes += "r";
  NotedAtTurnEnd item(*loop, *notes);
  co_await item;
  *notes += "d";
}

TEST(AtTurnEnd, IsDoneWhenAllThatWasReadyHasRun) {
  auto loop = make_sim_loop(1);
  std::string notes;
  Nursery nursery(*loop);
  for (int i = 0; i < 3; ++i) nursery.spawn(noting(loop.get(), &notes));
  loop->run_for(1ms);
  EXPECT_EQ(notes, "rrraaaddd");
}

TEST(AtTurnEnd, IsNotDoneForWhomIsCancelledBefore) {
  bool was_listed = false;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    auto loop = make_sim_loop(seed);
    std::string notes;
    Nursery nursery(*loop);
    for (int i = 0; i < 2; ++i) nursery.spawn(noting(loop.get(), &notes));
    auto* cancelled = nursery.spawn(noting(loop.get(), &notes));
    nursery.spawn([](this auto, Nursery* of, Nursery::Child* child) -> Task<void> {
      of->cancel(child);
      co_return;
    }(&nursery, cancelled));
    loop->run_for(1ms);
    was_listed |= std::ranges::count(notes, 'r') == 3;
    EXPECT_EQ(std::ranges::count(notes, 'a'), 2) << seed;
    EXPECT_EQ(std::ranges::count(notes, 'd'), 2) << seed;
  }
  EXPECT_TRUE(was_listed);
}

TEST(WaitReadable, WithoutANumberForACopyNothingIsMissedAndNothingTakenForAnEnd) {
  auto loop = make_real_loop();
  auto ends = make_socket_pair();
  ASSERT_TRUE(ends);
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const int free = fcntl(ends->first.get(), F_DUPFD_CLOEXEC, 0);  // the lowest there is
  close(free);
  const rlimit none{static_cast<rlim_t>(free), usual.rlim_max};
  Result<void> early;
  Result<void> seen = failure(Error::kInternal, "not asked");
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, int fd, rlimit limit, Result<void>* first,
                   Result<void>* second) -> Task<void> {
    // UBSan needs descriptors to know a type that it has not seen; it has seen the Loop's then.
    co_await l->sleep_for(1ms);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    *first = co_await l->wait_readable(fd, l->in(30ms));
    *second = co_await l->wait_readable(fd, l->in(10s));
    l->stop();
  }(loop.get(), ends->first.get(), none, &early, &seen));
  nursery.spawn([](this auto, Loop* l, int fd) -> Task<void> {
    co_await l->sleep_for(120ms);
    EXPECT_EQ(send(fd, "!", 1, 0), 1);
  }(loop.get(), ends->second.get()));
  loop->run();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_FALSE(early);
  EXPECT_TRUE(!early && early.error() == Error::kTimeout);
  EXPECT_TRUE(seen) << seen.error().message();
}

TEST(Race, TheLoserIsCancelled) {
  auto loop = make_sim_loop(5);
  const auto pause = [](this auto, Loop* l, Nanos span, int value) -> Task<int> {
    co_await l->sleep_for(span);
    co_return value;
  };
  const auto first =
      loop->run_until_done(race(*loop, pause(loop.get(), 5s, 1), pause(loop.get(), 1s, 2)));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->index(), 1u);
  EXPECT_EQ(std::get<1>(*first), 2);
}

// An echo server and a client that sends `size` bytes and reads them back; used on both Loops.
Task<void> echo(Listener* listener, Loop* loop) {
  auto stream = co_await listener->accept(loop->in(5s));
  if (!stream) co_return;
  std::array<char, 1000> buffer;
  while (true) {
    const auto got = co_await (*stream)->read(buffer, loop->in(5s));
    if (!got || *got == 0) break;
    if (!co_await (*stream)->write({buffer.data(), *got}, loop->in(5s))) break;
  }
  (void)co_await (*stream)->finish(loop->in(5s));
}
Task<void> send_all(Stream* stream, const std::string* data, Loop* loop) {
  (void)co_await stream->write(*data, loop->in(5s));
  (void)co_await stream->finish(loop->in(5s));
}
Task<Result<std::string>> round_trip(Loop* loop, Endpoint to, std::string data) {
  auto stream = CO_TRY(co_await loop->connect(to, loop->in(5s)));
  Nursery nursery(*loop);
  nursery.spawn(send_all(stream.get(), &data, loop));
  std::string back;
  std::array<char, 777> buffer;
  while (true) {
    const std::size_t got = CO_TRY(co_await stream->read(buffer, loop->in(5s)));
    if (got == 0) break;
    back.append(buffer.data(), got);
  }
  co_return back;
}

std::string pattern(std::size_t size) {
  std::string data(size, ' ');
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<char>('a' + i % 26);
  return data;
}

TEST(SimLoop, CarriesBytesWholeAndInOrderWhateverTheSeed) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto loop = make_sim_loop(seed);
    auto listener = loop->listen(Endpoint::ip("10.0.0.1", 80));
    ASSERT_TRUE(listener);
    Nursery nursery(*loop);
    nursery.spawn(echo(listener->get(), loop.get()));
    const auto back = loop->run_until_done(
        round_trip(loop.get(), Endpoint::ip("10.0.0.1", 80), pattern(200'000)));
    ASSERT_TRUE(back.has_value() && back->has_value()) << "seed " << seed;
    EXPECT_EQ(**back, pattern(200'000)) << "seed " << seed;
  }
}

TEST(SimLoop, TheSameSeedMakesTheSameChoices) {
  const auto run = [](std::uint64_t seed) {
    auto loop = make_sim_loop(seed);
    auto listener = loop->listen(Endpoint::ip("10.0.0.1", 80));
    Nursery nursery(*loop);
    nursery.spawn(echo(listener->get(), loop.get()));
    (void)loop->run_until_done(
        round_trip(loop.get(), Endpoint::ip("10.0.0.1", 80), pattern(50'000)));
    return loop->digest();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST(SimLoop, VirtualTimeCostsNoRealTime) {
  auto loop = make_sim_loop(1);
  const Instant before = loop->now();
  loop->run_until_done([](this auto, Loop* l) -> Task<int> {
    co_await l->sleep_for(std::chrono::minutes(50));
    co_return 0;
  }(loop.get()));
  EXPECT_GE(loop->now() - before, std::chrono::minutes(50));
}

// Cancels after each resumption of any coroutine, one more each time until the exchange completes:
// no await point of the streams, timers and events in it is left out. Under AddressSanitizer any
// wait that survives its coroutine shows.
TEST(SimLoop, CancellingAtEveryAwaitPointLeavesNothing) {
  std::uint64_t points = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    bool done = false;
    for (std::uint64_t steps = 0; !done; ++steps, ++points) {
      auto loop = make_sim_loop(seed);
      auto listener = loop->listen(Endpoint::ip("10.0.0.1", 80));
      Nursery nursery(*loop);
      nursery.spawn(echo(listener->get(), loop.get()));
      nursery.spawn([](this auto, Loop* l, bool* flag) -> Task<void> {
        for (int i = 0; i < 3; ++i) {
          (void)co_await round_trip(l, Endpoint::ip("10.0.0.1", 80), pattern(100'000));
          co_await l->sleep_for(100us);
        }
        *flag = true;
      }(loop.get(), &done));
      loop->run_steps(steps);
      nursery.cancel_all();
      loop->run_for(1s);  // what was cancelled must not come back
    }
  }
  std::printf("%llu points\n", static_cast<unsigned long long>(points));
  EXPECT_GT(points, 8U * 15);
}

TEST(RealLoop, CarriesBytesOverTcp) {
  auto loop = make_real_loop();
  auto listener = loop->listen(Endpoint::ip("127.0.0.1", 0));
  ASSERT_TRUE(listener);
  Nursery nursery(*loop);
  nursery.spawn(echo(listener->get(), loop.get()));
  std::string back;
  nursery.spawn([](this auto, Loop* l, Endpoint to, std::string* out) -> Task<void> {
    auto got = co_await round_trip(l, to, pattern(3'000'000));
    if (got) *out = std::move(*got);
    l->stop();
  }(loop.get(), (*listener)->local(), &back));
  loop->run();
  EXPECT_EQ(back, pattern(3'000'000));
}

TEST(RealLoop, AReadEndsAtItsDeadline) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  ASSERT_TRUE(pair);
  auto stream = loop->adopt_local(std::move(pair->first));
  ASSERT_TRUE(stream);
  std::optional<Error> error;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, LocalStream* s, std::optional<Error>* out) -> Task<void> {
    std::array<char, 10> buffer;
    auto got = co_await s->read(buffer, l->in(5ms));
    if (!got) *out = got.error();
    l->stop();
  }(loop.get(), stream->get(), &error));
  loop->run();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(*error, Error::kTimeout);
}

// Reads a little at a time of what is all there, until an error.
Task<void> read_bit_by_bit(Loop* loop, Stream* from, Deadline deadline, int* reads) {
  std::array<char, 16> some;
  while (true) {
    const auto got = co_await from->read(some, deadline);
    if (!got || *got == 0) break;
    ++*reads;
  }
  loop->stop();
}

// A stream of which a thousand such reads are there, and no more, until its peer goes.
struct Filled {
  std::unique_ptr<LocalStream> stream;
  Descriptor peer;
};
Filled filled(Loop& loop) {
  auto pair = *make_socket_pair();
  const std::string all(16 * 1000, 'x');
  EXPECT_EQ(::write(pair.second.get(), all.data(), all.size()), static_cast<ssize_t>(all.size()));
  return {*loop.adopt_local(std::move(pair.first)), std::move(pair.second)};
}

TEST(RealLoop, APeerThatAlwaysHasMoreKeepsNeitherOthersNorADeadlineWaiting) {
  auto loop = make_real_loop();
  Filled from = filled(*loop);
  int reads = 0;
  int reads_before_another = -1;
  {
    Nursery nursery(*loop);
    nursery.spawn(read_bit_by_bit(loop.get(), from.stream.get(), loop->in(30s), &reads));
    nursery.spawn([](this auto, const int* so_far, int* then) -> Task<void> {
      *then = *so_far;
      co_return;
    }(&reads, &reads_before_another));
    from.peer.reset();
    loop->run();
  }
  EXPECT_EQ(reads, 1000) << "nothing is lost";
  EXPECT_GE(reads_before_another, 0);
  EXPECT_LT(reads_before_another, 200);
}

TEST(RealLoop, ADeadlineHoldsWhateverStillComes) {
  auto loop = make_real_loop();
  const Filled from = filled(*loop);
  int reads = 0;
  Nursery nursery(*loop);
  nursery.spawn(read_bit_by_bit(loop.get(), from.stream.get(), loop->in(-1ms), &reads));
  loop->run();
  EXPECT_GT(reads, 0);
  EXPECT_LT(reads, 200);
}

TEST(RealLoop, AConnectionNobodyTakesIsUnreachable) {
  auto loop = make_real_loop();
  Endpoint dead;
  {
    auto listener = loop->listen(Endpoint::ip("127.0.0.1", 0));
    ASSERT_TRUE(listener);
    dead = (*listener)->local();
  }
  std::optional<Error> error;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, Endpoint to, std::optional<Error>* out) -> Task<void> {
    auto got = co_await l->connect(to, l->in(1s));
    if (!got) *out = got.error();
    l->stop();
  }(loop.get(), dead, &error));
  loop->run();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(*error, Error::kUnreachable);
}

TEST(RealLoop, CancelledWaitsDoNotComeBack) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  auto stream = loop->adopt_local(std::move(pair->first));
  auto other = loop->adopt_local(std::move(pair->second));
  int destroyed = 0;
  Nursery nursery(*loop);
  auto* reader = nursery.spawn([](this auto, LocalStream* s, int* count) -> Task<void> {
    const Guard guard{count};
    std::array<char, 10> buffer;
    (void)co_await s->read(buffer, Deadline::never());
    ADD_FAILURE() << "a cancelled read came back";
  }(stream->get(), &destroyed));
  nursery.spawn([](this auto, Loop* l, Nursery* n, Nursery::Child* child, LocalStream* mine,
                   LocalStream* theirs) -> Task<void> {
    co_await l->sleep_for(1ms);
    n->cancel(child);
    EXPECT_TRUE(co_await theirs->write("hello", l->in(1s)));
    std::array<char, 10> buffer;
    const auto got = co_await mine->read(buffer, l->in(1s));
    EXPECT_TRUE(got.has_value());
    if (got) EXPECT_EQ(std::string(buffer.data(), *got), "hello");
    l->stop();
  }(loop.get(), &nursery, reader, stream->get(), other->get()));
  loop->run();
  EXPECT_EQ(destroyed, 1);
}

// Epoll tells of an edge once: what came together must be read to its end all the same.
TEST(RealLoop, AnEndThatComesWithTheLastBytesIsRead) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  auto stream = loop->adopt_local(std::move(pair->first));
  auto other = loop->adopt_local(std::move(pair->second));
  std::vector<std::size_t> got;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, LocalStream* mine, LocalStream* theirs,
                   std::vector<std::size_t>* out) -> Task<void> {
    std::array<char, 64> buffer;
    for (const bool ends : {false, true}) {
      EXPECT_TRUE(co_await theirs->write("hello", l->in(1s)));
      if (ends) theirs->disconnect();
      const auto read = co_await mine->read(buffer, l->in(1s));
      out->push_back(read.value_or(99));
    }
    const auto end = co_await mine->read(buffer, l->in(1s));
    out->push_back(end.value_or(99));
    l->stop();
  }(loop.get(), stream->get(), other->get(), &got));
  loop->run();
  EXPECT_EQ(got, (std::vector<std::size_t>{5, 5, 0}));
}

TEST(RealLoop, APeerThatHasEndedItsSideAndReadsSlowlyGetsAll) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  auto stream = loop->adopt_local(std::move(pair->first));
  auto other = loop->adopt_local(std::move(pair->second));
  std::size_t taken = 0;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, LocalStream* s) -> Task<void> {
    std::array<char, 16> buffer;
    EXPECT_EQ((co_await s->read(buffer, l->in(5s))).value_or(99), 0u);
    EXPECT_TRUE(co_await s->write(pattern(3'000'000), l->in(20s)));
    EXPECT_TRUE(co_await s->finish(l->in(1s)));
  }(loop.get(), stream->get()));
  nursery.spawn([](this auto, Loop* l, LocalStream* s, std::size_t* all) -> Task<void> {
    EXPECT_TRUE(co_await s->finish(l->in(1s)));
    std::vector<char> buffer(100'000);
    while (true) {
      co_await l->sleep_for(1ms);
      const auto got = co_await s->read(buffer, l->in(20s));
      if (!got || *got == 0) break;
      *all += *got;
    }
    l->stop();
  }(loop.get(), other->get(), &taken));
  loop->run();
  EXPECT_EQ(taken, 3'000'000u);
}

TEST(RealLoop, TwoTextsAreWrittenOneBehindTheOtherWhateverGoesAtOnce) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  auto stream = loop->adopt_local(std::move(pair->first));
  auto other = loop->adopt_local(std::move(pair->second));
  const std::string first = pattern(700'001);
  const std::string second = pattern(900'003);
  std::string got;
  Nursery nursery(*loop);
  nursery.spawn(
      [](this auto, Loop* l, LocalStream* s, std::string_view a, std::string_view b) -> Task<void> {
        EXPECT_TRUE(co_await s->write_both(a, b, l->in(20s)));
        EXPECT_TRUE(co_await s->write_both("", "x", l->in(20s)));
        EXPECT_TRUE(co_await s->write_both("y", "", l->in(20s)));
        EXPECT_TRUE(co_await s->write_both("", "", l->in(20s)));
        EXPECT_TRUE(co_await s->finish(l->in(1s)));
      }(loop.get(), stream->get(), first, second));
  nursery.spawn([](this auto, Loop* l, LocalStream* s, std::string* all) -> Task<void> {
    std::vector<char> buffer(100'000);
    while (true) {
      const auto size = co_await s->read(buffer, l->in(20s));
      if (!size || *size == 0) break;
      all->append(buffer.data(), *size);
    }
    l->stop();
  }(loop.get(), other->get(), &got));
  loop->run();
  EXPECT_TRUE(got == first + second + "xy");
}

TEST(RealLoop, WorkOfAnotherThreadWakesALoopThatSleeps) {
  auto loop = make_real_loop();
  constexpr int kPosts = 2000;
  int done = 0;
  std::thread other([l = loop.get(), &done] {
    for (int i = 0; i < kPosts; ++i) {
      l->post([l, &done] {
        if (++done == kPosts) l->stop();
      });
      if (i % 100 == 0) std::this_thread::sleep_for(1ms);
    }
  });
  loop->run();
  other.join();
  EXPECT_EQ(done, kPosts);
}

TEST(RealLoop, WhatEpollDoesNotTakeCountsAsReady) {
  auto loop = make_real_loop();
  const Descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  bool ready = false;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, int fd, bool* out) -> Task<void> {
    *out = (co_await l->wait_readable(fd, l->in(5s))).has_value();
    l->stop();
  }(loop.get(), file.get(), &ready));
  loop->run();
  EXPECT_TRUE(ready);
}

TEST(LocalStream, CarriesDescriptors) {
  auto loop = make_real_loop();
  auto pair = make_socket_pair();
  auto carried = make_socket_pair();
  auto a = loop->adopt_local(std::move(pair->first));
  auto b = loop->adopt_local(std::move(pair->second));
  std::vector<Descriptor> fds;
  Nursery nursery(*loop);
  nursery.spawn([](this auto, Loop* l, LocalStream* from, LocalStream* to, int fd,
                   std::vector<Descriptor>* out) -> Task<void> {
    const std::array<int, 1> list = {fd};
    EXPECT_TRUE(co_await from->write_with("x", list, l->in(1s)));
    std::array<char, 10> buffer;
    const auto got = co_await to->read_with(buffer, *out, l->in(1s));
    EXPECT_TRUE(got && *got == 1);
    l->stop();
  }(loop.get(), a->get(), b->get(), carried->first.get(), &fds));
  loop->run();
  ASSERT_EQ(fds.size(), 1u);
  EXPECT_EQ(::write(fds[0].get(), "y", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(carried->second.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
}

}  // namespace
}  // namespace gatehouse::net
