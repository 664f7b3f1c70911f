// SPDX-License-Identifier: Apache-2.0
#include "ipc/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "ipc/any_audit.h"
#include "ipc/codec.h"
#include "ipc/frame.h"
#include "ipc/gateway_vault.h"
#include "ipc/supervisor.h"
#include "net/cancel_everywhere.h"
#include "net/real_loop.h"

namespace gatehouse::ipc {
namespace {

struct Ends {
  std::unique_ptr<net::Loop> loop = net::make_real_loop();
  Permits asking;
  Permits answering;
  std::unique_ptr<Channel> asker;
  std::unique_ptr<Channel> answerer;

  void connect() {
    auto pair = net::make_socket_pair();
    asker = std::make_unique<Channel>(*loop, std::move(*loop->adopt_local(std::move(pair->first))),
                                      "vault", asking);
    answerer = std::make_unique<Channel>(
        *loop, std::move(*loop->adopt_local(std::move(pair->second))), "gateway", answering);
  }
  template <class T>
  T run(net::Task<T> task) {
    std::optional<T> value;
    net::Nursery nursery(*loop);
    nursery.spawn(
        [](this auto, net::Loop* l, net::Task<T> body, std::optional<T>* out) -> net::Task<void> {
          out->emplace(co_await std::move(body));
          l->stop();
        }(loop.get(), std::move(task), &value));
    loop->run();
    return std::move(*value);
  }
};

TEST(Codec, EveryFieldComesBack) {
  Lease lease;
  lease.run = RunId::fresh();
  lease.service = "openai";
  lease.host = "api.example.com";
  lease.rejected = LeaseId::fresh();
  const auto back = decode<Lease>(encode(lease));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->run, lease.run);
  EXPECT_EQ(back->host, lease.host);
  EXPECT_EQ(back->rejected, lease.rejected);
}

TEST(Codec, EveryTruncationAndAnyExcessIsRefused) {
  Lease lease;
  lease.service = "openai";
  const std::string bytes = encode(lease);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode<Lease>(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(decode<Lease>(bytes + "x"));
}

TEST(Channel, AnswersPipelinedRequestsEachWithItsOwn) {
  Ends ends;
  ends.answering.on<Append>(
      [loop = ends.loop.get()](Append request,
                               std::vector<net::Descriptor>) -> net::Task<Result<Appended>> {
        return [](this auto, net::Loop* l, std::string entry) -> net::Task<Result<Appended>> {
          const auto number = static_cast<std::uint64_t>(std::stoul(entry));
          co_await l->sleep_for(Nanos((number % 3) * 1'000'000));
          co_return Appended{number};
        }(loop, std::move(request.entry));
      });
  ends.connect();
  const int right = ends.run([](this auto, Ends* e) -> net::Task<int> {
    net::Nursery nursery(*e->loop);
    int count = 0;
    for (int i = 0; i < 200; ++i) {
      nursery.spawn([](this auto, Ends* inner, int number, int* out) -> net::Task<void> {
        const auto reply =
            co_await inner->asker->call(Append{std::to_string(number)}, inner->loop->in(5s));
        if (reply && reply->sequence == static_cast<std::uint64_t>(number)) ++*out;
      }(e, i, &count));
    }
    (void)co_await nursery.wait_empty(e->loop->in(5s));
    co_return count;
  }(&ends));
  EXPECT_EQ(right, 200);
}

TEST(Channel, AnErrorTravelsWithItsCodeAndMessage) {
  Ends ends;
  ends.answering.on<Lease>([](Lease, std::vector<net::Descriptor>) -> net::Task<Result<Leased>> {
    co_return failure(Error::kLeaseRefused, "the Run is not live");
  });
  ends.connect();
  const auto reply = ends.run(ends.asker->call(Lease{}, ends.loop->in(5s)));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Error::kLeaseRefused);
  EXPECT_EQ(reply.error().message(), "the Run is not live");
}

TEST(Channel, WhatThePermitTableDoesNotNameClosesTheConnection) {
  Ends ends;
  ends.connect();
  const unsigned long before = unpermitted_requests();
  std::vector<std::string> breaches;
  ends.answerer->on_breach([&](const Error& why) { breaches.push_back(why.message()); });
  const auto reply = ends.run(ends.asker->call(Kill{}, ends.loop->in(5s)));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Error::kUnavailable);
  EXPECT_EQ(unpermitted_requests(), before + 1);
  EXPECT_FALSE(ends.asker->is_open());
  EXPECT_EQ(breaches, std::vector<std::string>{"a request of type 0x0604 is not permitted"});
}

TEST(Channel, WhatIsNotAllowedNowClosesTheConnection) {
  Ends ends;
  bool open = true;
  ends.answering.on<GetStatus>(
      [](GetStatus, std::vector<net::Descriptor>) -> net::Task<Result<Status>> {
        co_return Status{};
      },
      [&open] { return open; });
  ends.connect();
  EXPECT_TRUE(ends.run(ends.asker->call(GetStatus{}, ends.loop->in(5s))));
  open = false;
  EXPECT_FALSE(ends.run(ends.asker->call(GetStatus{}, ends.loop->in(5s))));
}

TEST(Channel, DescriptorsArriveWithTheirMessage) {
  Ends ends;
  std::vector<std::string> seen;
  ends.answering.on<GiveDescriptor>(
      [&seen](GiveDescriptor request, std::vector<net::Descriptor> fds) -> net::Task<Result<Done>> {
        seen.push_back(request.name + ":" + std::to_string(fds.size()));
        co_return Done{};
      });
  ends.connect();
  auto spare = net::make_socket_pair();
  const bool ok = ends.run([](this auto, Ends* e, int fd) -> net::Task<bool> {
    for (int i = 0; i < 20; ++i) {
      GiveDescriptor plain{"plain"};
      GiveDescriptor with{"with"};
      const std::array<int, 2> fds = {fd, fd};
      if (!co_await e->asker->exchange(parcel_of(plain), {}, e->loop->in(5s))) co_return false;
      if (!co_await e->asker->exchange(parcel_of(with), fds, e->loop->in(5s))) co_return false;
    }
    co_return true;
  }(&ends, spare->first.get()));
  EXPECT_TRUE(ok);
  ASSERT_EQ(seen.size(), 40u);
  for (std::size_t i = 0; i < seen.size(); ++i)
    EXPECT_EQ(seen[i], i % 2 == 0 ? "plain:0" : "with:2");
}

TEST(Channel, ACallThatIsCancelledLeavesTheConnectionInUse) {
  Ends ends;
  ends.answering.on<GetStatus>([loop = ends.loop.get()](GetStatus, std::vector<net::Descriptor>) {
    return [](this auto, net::Loop* l) -> net::Task<Result<Status>> {
      co_await l->sleep_for(5ms);
      co_return Status{};
    }(loop);
  });
  ends.connect();
  const bool ok = ends.run([](this auto, Ends* e) -> net::Task<bool> {
    for (int i = 0; i < 10; ++i) {
      const auto late = co_await e->asker->call(GetStatus{}, e->loop->in(1ms));
      if (late || late.error().code() != Error::kTimeout) co_return false;
    }
    co_return (co_await e->asker->call(GetStatus{}, e->loop->in(5s))).has_value();
  }(&ends));
  EXPECT_TRUE(ok);
}

// A peer that sends what it has without a copy, as another process does.
struct RawPeer {
  std::unique_ptr<net::LocalStream> stream;
  FrameReader reader;

  // The label of the error that the answer is; "done" for none.
  net::Task<Result<std::string>> give(net::Loop* loop, std::vector<int> fds) {
    const Deadline deadline = loop->in(std::chrono::seconds(5));
    GiveDescriptor request{"thing"};
    std::string bytes;
    CO_TRY(append_frame(
        bytes, {GiveDescriptor::kType, static_cast<std::uint8_t>(fds.size()), 7, encode(request)}));
    CO_TRY(co_await stream->write_with(std::string_view(bytes).substr(0, 1), fds, deadline));
    CO_TRY(co_await stream->write(std::string_view(bytes).substr(1), deadline));
    std::array<char, 4096> buffer{};
    Frame frame;
    while (!CO_TRY(reader.next(frame))) {
      const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
      if (got == 0) co_return failure(Error::kClosed, "the line is gone");
      reader.feed({buffer.data(), got});
    }
    if (frame.type != Refused::kType) co_return "done";
    const auto refused = CO_TRY(decode<Refused>(frame.payload));
    co_return std::string(row_of(static_cast<Error::Code>(refused.code)).label);
  }
};

TEST(Channel, WhatCannotBeTakenForWantOfADescriptorIsRefusedAndTheLineGoesOn) {
  Ends ends;
  std::size_t taken = 0;
  ends.answering.on<GiveDescriptor>(
      [&](GiveDescriptor, std::vector<net::Descriptor> held) -> net::Task<Result<Done>> {
        taken += held.size();
        co_return Done{};
      });
  auto pair = net::make_socket_pair();
  RawPeer peer{std::move(*ends.loop->adopt_local(std::move(pair->first))), {}};
  ends.answerer = std::make_unique<Channel>(
      *ends.loop, std::move(*ends.loop->adopt_local(std::move(pair->second))), "supervisor",
      ends.answering);
  const net::Descriptor one(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto give = [&](std::size_t count) {
    const auto said = ends.run(peer.give(ends.loop.get(), std::vector<int>(count, one.get())));
    return said ? *said : said.error().message();
  };
  EXPECT_EQ(give(2), "done");
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const int free = fcntl(one.get(), F_DUPFD_CLOEXEC, 0);  // the lowest there is
  close(free);
  // For none of three, then for one of them: those that could be had are not kept.
  for (const int more : {0, 1}) {
    const rlimit few{static_cast<rlim_t>(free + more), usual.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    EXPECT_EQ(give(3), "exhausted");
    EXPECT_EQ(give(0), "done") << "the line is as it was";
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_EQ(give(3), "done");
  EXPECT_EQ(taken, 5u);
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

// Two roles on one Loop; one asks, with descriptors, and is cancelled.
struct CancelledAsker {
  explicit CancelledAsker(net::SimLoop& on) : loop(on) {
    answering.on<OfferRing>([l = &on](OfferRing, std::vector<net::Descriptor> fds) {
      return [](this auto, net::Loop* at,
                std::vector<net::Descriptor> held) -> net::Task<Result<Done>> {
        co_await at->sleep_for(1ms);
        if (held.size() != 2) co_return failure(Error::kInvalid, "without its descriptors");
        co_return Done{};
      }(l, std::move(fds));
    });
    auto pair = net::make_socket_pair();
    asker = std::make_unique<Channel>(on, std::move(*on.adopt_local(std::move(pair->first))),
                                      "audit", nothing);
    answerer = std::make_unique<Channel>(on, std::move(*on.adopt_local(std::move(pair->second))),
                                         "gateway", answering);
  }
  net::Task<Result<Done>> ask() {
    OfferRing offer;
    const std::array<int, 2> fds = {0, 1};
    const auto reply = CO_TRY(co_await asker->exchange(parcel_of(offer), fds, loop.in(5s)));
    co_return decode<Done>(reply.payload);
  }
  net::Task<void> act() {
    for (int i = 0; i < 3; ++i) (void)co_await ask();
  }
  // Both sides are as if it had never asked.
  void after() {
    const auto reply = loop.run_until_done(ask());
    ASSERT_TRUE(reply && *reply);
    EXPECT_TRUE(asker->is_open() && answerer->is_open());
  }

  net::SimLoop& loop;
  Permits nothing;
  Permits answering;
  std::unique_ptr<Channel> asker;
  std::unique_ptr<Channel> answerer;
};

TEST(Channel, AnAskerCancelledAtAnyAwaitPointLeavesTheChannelWhole) {
  const auto before = open_descriptors();
  std::uint64_t points = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    points += net::cancel_everywhere<CancelledAsker>(seed);
  }
  std::printf("%llu points\n", static_cast<unsigned long long>(points));
  EXPECT_GT(points, 20u * 20u);
  EXPECT_EQ(open_descriptors(), before);
}

// The same, but it is the other side that goes away, as a role that is killed does.
struct LostAnswerer : CancelledAsker {
  using CancelledAsker::CancelledAsker;
  net::Task<void> act() {
    std::unique_ptr<Channel> mine = std::move(answerer);
    net::Nursery asking(loop);
    for (int i = 0; i < 3; ++i) {
      asking.spawn([](this auto, CancelledAsker* world,
                      std::optional<Result<Done>>* out) -> net::Task<void> {
        out->emplace(co_await world->ask());
      }(this, &replies[static_cast<std::size_t>(i)]));
    }
    (void)co_await asking.wait_empty(loop.in(10s));
  }
  void after() {
    const bool is_over = std::all_of(replies.begin(), replies.end(),
                                     [](const auto& reply) { return reply.has_value(); });
    const auto late = loop.run_until_done(ask());
    ASSERT_TRUE(late.has_value());
    if (answerer != nullptr) return;  // it went nowhere: the story did not begin
    EXPECT_EQ(late->error(), Error::kUnavailable);
    EXPECT_FALSE(asker->is_open());
    if (is_over) EXPECT_TRUE(*replies[0] && *replies[1] && *replies[2]);
  }
  std::array<std::optional<Result<Done>>, 3> replies;
};

TEST(Channel, AnAnswererLostAtAnyAwaitPointIsSeenByItsAsker) {
  const auto before = open_descriptors();
  for (std::uint64_t seed = 0; seed < 20; ++seed) (void)net::cancel_everywhere<LostAnswerer>(seed);
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace gatehouse::ipc
