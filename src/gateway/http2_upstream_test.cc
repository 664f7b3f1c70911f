// SPDX-License-Identifier: Apache-2.0
// A link to an upstream that says, frame by frame, what a test wants it to.
#include "gateway/http2_upstream.h"

#include <gtest/gtest.h>

#include <functional>

#include "net/cancel_everywhere.h"
#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using net::Task;
using Fields = std::vector<std::pair<std::string, std::string>>;

enum : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8
};
enum : std::uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4 };

std::string number(std::uint32_t value, int bytes = 4) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> static_cast<unsigned>(shift));
  }
  return out;
}
std::string frame(std::uint8_t kind, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload = "") {
  return number(static_cast<std::uint32_t>(payload.size()), 3) + static_cast<char>(kind)
         + static_cast<char>(flags) + number(stream) + payload;
}
// Literals without indexing (RFC 7541 section 6.2.2), none longer than 126.
std::string packed(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += '\0';
    out += static_cast<char>(name.size());
    out += name;
    out += static_cast<char>(value.size());
    out += value;
  }
  return out;
}
std::string head(std::uint32_t stream, const Fields& fields = {{":status", "200"}},
                 std::uint8_t flags = kEndHeaders) {
  return frame(kHeaders, flags, stream, packed(fields));
}
std::string setting(std::uint16_t id, std::uint32_t value) {
  return frame(kSettings, 0, 0, number(id, 2) + number(value));
}

struct Frame {
  std::uint8_t kind;
  std::uint8_t flags;
  std::uint32_t stream;
  std::string payload;
};

std::uint32_t number_at(std::string_view text, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (const char c : text.substr(at, bytes)) value = value << 8U | static_cast<unsigned char>(c);
  return value;
}

// The upstream's end: keeps the frames that come, and says what it is told to.
class Server {
 public:
  Server(net::Loop& loop, std::unique_ptr<net::Stream> stream)
      : loop_(loop), stream_(std::move(stream)), came_(loop), reading_(loop) {
    reading_.spawn(read_all(this));
  }
  Task<void> say(std::string bytes) {
    if (!std::exchange(has_greeted_, true)) {
      bytes = frame(kSettings, 0, 0) + frame(kSettings, kAck, 0) + bytes;
    }
    (void)co_await stream_->write(bytes, loop_.in(std::chrono::minutes(10)));
  }
  // The first frame of that kind that nobody has asked for yet.
  Task<std::optional<Frame>> next(std::uint8_t kind, Nanos patience = std::chrono::minutes(10)) {
    const Deadline deadline = loop_.in(patience);
    while (true) {
      for (std::size_t i = 0; i < frames.size(); ++i) {
        if (frames[i].kind != kind) continue;
        const Frame found = frames[i];
        frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(i));
        co_return found;
      }
      came_.reset();
      if (has_ended || !co_await came_.wait(deadline)) co_return std::nullopt;
    }
  }
  void go() {
    reading_.cancel_all();
    stream_.reset();
  }
  std::vector<Frame> frames;
  bool has_ended = false;

 private:
  static Task<void> read_all(Server* self) {
    constexpr std::size_t kPreface = wire::kHttp2Preface.size();
    std::string bytes;
    std::array<char, 8192> buffer;
    bool had_preface = false;
    while (true) {
      const auto got = co_await self->stream_->read(buffer, self->loop_.in(std::chrono::hours(10)));
      if (!got || *got == 0) break;
      bytes.append(buffer.data(), *got);
      if (!had_preface && bytes.size() >= kPreface) {
        EXPECT_TRUE(bytes.starts_with(wire::kHttp2Preface));
        bytes.erase(0, kPreface);
        had_preface = true;
      }
      while (had_preface && bytes.size() >= 9 && bytes.size() >= 9 + number_at(bytes, 0, 3)) {
        const std::uint32_t size = number_at(bytes, 0, 3);
        self->frames.push_back({static_cast<std::uint8_t>(bytes[3]),
                                static_cast<std::uint8_t>(bytes[4]), number_at(bytes, 5, 4),
                                bytes.substr(9, size)});
        bytes.erase(0, 9 + size);
        self->came_.set();
      }
    }
    self->has_ended = true;
    self->came_.set();
  }

  net::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  bool has_greeted_ = false;
  net::Event came_;
  net::Nursery reading_;
};

wire::RequestHead get(std::string target = "/x") {
  wire::RequestHead head;
  head.method = "GET";
  head.target = std::move(target);
  head.headers.add("host", "up.test");
  return head;
}
wire::RequestHead post() {
  wire::RequestHead head = get();
  head.method = "POST";
  head.framing = {wire::BodyFraming::Kind::kChunked, 0};
  return head;
}

struct Answer {
  UpstreamExchange::Head head;
  std::string body;
  std::size_t trailers = 0;
};

Task<Result<UpstreamExchange::Head>> head_of(UpstreamExchange* exchange, Deadline deadline) {
  while (true) {
    if (!CO_TRY(co_await exchange->answer().more(deadline))) {
      co_return failure(Error::kUpstream, "no answer");
    }
    auto head = CO_TRY(exchange->head());
    if (head) co_return std::move(*head);
  }
}
// As the relay reads it.
Task<Result<Answer>> answer_of(UpstreamExchange* exchange, Deadline deadline) {
  Answer answer;
  answer.head = CO_TRY(co_await head_of(exchange, deadline));
  MessageIn& from = exchange->answer();
  while (!from.is_done()) {
    const Piece piece = CO_TRY(from.piece());
    answer.body += piece.payload;
    if (!piece.is_nothing()) continue;
    if (!CO_TRY(co_await from.more(deadline))) {
      CO_TRY(from.closed());
      break;
    }
  }
  answer.trailers = from.trailers().size();
  co_return answer;
}

class LinkTest : public testing::Test {
 public:
  LinkTest() {
    auto [ours, theirs] = loop->make_pair();
    link = std::make_shared<Http2Link>(*loop, std::move(ours));
    server.emplace(*loop, std::move(theirs));
  }
  // Runs a story in virtual time.
  template <class Story>
  void tell(Story story) {
    const auto done = loop->run_until_done(whole(story(this)));
    ASSERT_TRUE(done) << "it hangs";
  }
  static Task<bool> whole(Task<void> story) {
    co_await std::move(story);
    co_return true;
  }
  Deadline soon() { return loop->in(std::chrono::minutes(20)); }
  std::unique_ptr<UpstreamExchange> asked(wire::RequestHead head = get()) {
    auto exchange = Http2Link::begin(link);
    EXPECT_TRUE(exchange->begin(std::move(head), {}));
    return exchange;
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  std::shared_ptr<Http2Link> link;
  std::optional<Server> server;
};

TEST_F(LinkTest, CarriesManyExchangesAtOnceWhateverTheOrderOfTheirAnswers) {
  tell([](LinkTest* t) -> Task<void> {
    auto first = t->asked();
    auto second = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->next(kHeaders);
    co_await t->server->say(frame(kSettings, 0, 0) + head(3) + head(1)
                            + frame(kData, kEndStream, 3, "three") + frame(kData, 0, 1, "on"));
    const auto three = co_await answer_of(second.get(), t->soon());
    EXPECT_EQ(three.value().body, "three");
    co_await t->server->say(frame(kData, kEndStream, 1, "e"));
    const auto one = co_await answer_of(first.get(), t->soon());
    EXPECT_EQ(one.value().body, "one");
    EXPECT_EQ(one->head.response.status, 200);
    EXPECT_EQ(one->head.response.reason, "OK") << "for an agent of HTTP/1.1";
  });
}

TEST_F(LinkTest, SaysTheRequestWithoutWhatIsOfAConnection) {
  tell([](LinkTest* t) -> Task<void> {
    wire::RequestHead head = post();
    head.headers.add("connection", "close");
    head.headers.add("X-Mixed", "y");
    auto exchange = Http2Link::begin(t->link);
    SecretField secret("authorization", 64);
    secret.value = "Bearer key";
    EXPECT_TRUE(exchange->begin(std::move(head), secret));
    const auto sent = co_await t->server->next(kHeaders);
    // POST and https are of the static table; a literal that is never indexed begins with 0001.
    EXPECT_TRUE(sent->payload.contains("\x83\x87")) << "after the table's size";
    EXPECT_TRUE(sent->payload.contains("\x1f\x08")) << "authorization, never indexed";
    EXPECT_FALSE(sent->flags & kEndStream);
    wire::Headers trailers;
    trailers.add("x-sum", "1");
    EXPECT_TRUE(co_await exchange->request().finish("body", trailers, t->soon()));
    EXPECT_EQ((co_await t->server->next(kData))->payload, "body");
    const auto last = co_await t->server->next(kHeaders);
    EXPECT_TRUE(last->flags & kEndStream);
  });
}

TEST_F(LinkTest, InterimAnswersAreLeftOutAndTrailersPass) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1, {{":status", "103"}, {"link", "x"}})
                            + head(1, {{":status", "200"}}) + frame(kData, 0, 1, "ok")
                            + head(1, {{"grpc-status", "0"}}, kEndHeaders | kEndStream));
    const auto answer = co_await answer_of(exchange.get(), t->soon());
    EXPECT_EQ(answer.value().head.response.status, 200);
    EXPECT_EQ(answer->head.response.headers.count("link"), 0U);
    EXPECT_EQ(answer->body, "ok");
    EXPECT_EQ(answer->trailers, 1U);
  });
}

Task<wire::BodyFraming> framing_of(LinkTest* t, std::string method, std::string said) {
  wire::RequestHead request = get();
  request.method = std::move(method);
  auto exchange = t->asked(std::move(request));
  co_await t->server->next(kHeaders);
  co_await t->server->say(said);
  const auto answer = co_await answer_of(exchange.get(), t->soon());
  EXPECT_TRUE(answer);
  co_return answer ? answer->head.body : wire::BodyFraming{};
}

TEST_F(LinkTest, TellsTheFramingAsHttp1Would) {
  tell([](LinkTest* t) -> Task<void> {
    using Kind = wire::BodyFraming::Kind;
    constexpr std::uint8_t kAll = kEndHeaders | kEndStream;
    const Fields two = {{":status", "200"}, {"content-length", "2"}};
    EXPECT_EQ(co_await framing_of(t, "GET", head(1, two) + frame(kData, kEndStream, 1, "ok")),
              (wire::BodyFraming{Kind::kLength, 2}));
    EXPECT_EQ(co_await framing_of(t, "HEAD", head(3, two, kAll)),
              (wire::BodyFraming{Kind::kNone, 0}));
    EXPECT_EQ(co_await framing_of(t, "GET", head(5, {{":status", "204"}}, kAll)),
              (wire::BodyFraming{Kind::kNone, 0}));
    EXPECT_EQ(co_await framing_of(t, "GET", head(7, {{":status", "200"}}, kAll)),
              (wire::BodyFraming{Kind::kLength, 0}))
        << "a client of HTTP/1.1 would wait for a body";
    EXPECT_EQ(co_await framing_of(t, "GET", head(9) + frame(kData, kEndStream, 9, "x")),
              (wire::BodyFraming{Kind::kChunked, 0}));
  });
}

TEST_F(LinkTest, WhoDoesNotReadLetsTheUpstreamWait) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1));
    std::string all;
    for (std::size_t sent = 0; sent < wire::kHttp2AnswerWindow; sent += 16384) {
      all += frame(kData, 0, 1, std::string(16384, 'x'));
    }
    co_await t->server->say(all);
    (void)co_await head_of(exchange.get(), t->soon());
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    const auto opens = [t](std::uint32_t stream) {
      std::uint32_t sum = 0;
      for (const Frame& each : t->server->frames) {
        if (each.kind == kWindowUpdate && each.stream == stream) {
          sum += number_at(each.payload, 0, 4);
        }
      }
      return sum;
    };
    EXPECT_EQ(opens(1), 0U) << "nothing was taken";
    std::size_t taken = 0;
    while (taken < wire::kHttp2AnswerWindow) {
      const auto piece = exchange->answer().piece();
      taken += piece->payload.size();
      if (!piece->is_nothing()) continue;
      if (!(co_await exchange->answer().more(t->soon())).value_or(false)) break;
    }
    (void)exchange->answer().piece();
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    EXPECT_EQ(opens(1), wire::kHttp2AnswerWindow);
  });
}

TEST_F(LinkTest, AnUpstreamThatSendsMoreThanItMayIsCutOff) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1));
    std::string all;
    for (std::size_t sent = 0; sent <= wire::kHttp2AnswerWindow; sent += 16384) {
      all += frame(kData, 0, 1, std::string(16384, 'x'));
    }
    co_await t->server->say(all);
    EXPECT_FALSE(co_await answer_of(exchange.get(), t->soon()));
  });
}

TEST_F(LinkTest, WhoSendsWaitsForTheUpstream) {
  tell([](LinkTest* t) -> Task<void> {
    co_await t->server->say(setting(4, 10));  // SETTINGS_INITIAL_WINDOW_SIZE
    co_await t->server->next(kSettings);
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    auto exchange = t->asked(post());
    exchange->request().add("0123456789abcdef");
    const auto early = co_await exchange->request().flush(t->loop->in(std::chrono::seconds(5)));
    EXPECT_EQ(early.error(), Error::kTimeout);
    EXPECT_EQ((co_await t->server->next(kData))->payload, "0123456789");
    co_await t->server->say(frame(kWindowUpdate, 0, 1, number(100)));
    EXPECT_TRUE(co_await exchange->request().finish("", {}, t->soon()));
    EXPECT_EQ((co_await t->server->next(kData))->payload, "abcdef");
  });
}

TEST_F(LinkTest, AnAnswerBeforeTheRequestsEndIsTaken) {
  tell([](LinkTest* t) -> Task<void> {
    co_await t->server->say(setting(4, 0));
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    auto exchange = t->asked(post());
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1, {{":status", "413"}}, kEndHeaders | kEndStream)
                            + frame(kReset, 0, 1, number(0)));
    EXPECT_TRUE(co_await exchange->request().finish("too much", {}, t->soon()));
    EXPECT_EQ((co_await answer_of(exchange.get(), t->soon())).value().head.response.status, 413);
  });
}

TEST_F(LinkTest, AnExchangeThatIsLeftIsCancelledAndTheOthersGoOn) {
  tell([](LinkTest* t) -> Task<void> {
    auto left = t->asked();
    auto stays = t->asked();
    co_await t->server->next(kHeaders);
    left.reset();
    const auto reset = co_await t->server->next(kReset);
    EXPECT_EQ(reset->stream, 1U);
    EXPECT_EQ(number_at(reset->payload, 0, 4), 8U);
    co_await t->server->say(head(1) + frame(kData, 0, 1, "late") + head(3)
                            + frame(kData, kEndStream, 3, "ok"));
    EXPECT_EQ((co_await answer_of(stays.get(), t->soon())).value().body, "ok");
  });
}

TEST_F(LinkTest, HasRoomForAsManyAsTheUpstreamSays) {
  tell([](LinkTest* t) -> Task<void> {
    EXPECT_TRUE(t->link->has_room());
    co_await t->server->say(setting(3, 2));  // SETTINGS_MAX_CONCURRENT_STREAMS
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    auto first = t->asked();
    EXPECT_TRUE(t->link->has_room());
    auto second = Http2Link::begin(t->link);
    EXPECT_FALSE(t->link->has_room()) << "one that has not begun yet has its place";
    second.reset();
    EXPECT_TRUE(t->link->has_room());
  });
}

TEST_F(LinkTest, HasItsOwnBoundWhateverTheUpstreamSays) {
  std::vector<std::unique_ptr<UpstreamExchange>> all;
  while (link->has_room() && all.size() < 1000) all.push_back(Http2Link::begin(link));
  EXPECT_EQ(all.size(), wire::kHttp2StreamsMost);
}

// What a test does to an exchange, and whether the request may go again.
struct Break {
  const char* what;
  std::string said;
  bool ends = false;  // the connection, behind it
  bool was_not_processed = false;
};

TEST(Link, TellsWhichRequestsMayGoAgain) {
  const std::string goaway_none = frame(kGoaway, 0, 0, number(0) + number(0));
  const std::string goaway_all = frame(kGoaway, 0, 0, number(0x7fffffff) + number(0));
  const std::string goaway_calm = frame(kGoaway, 0, 0, number(1) + number(11));
  for (const Break& how : std::vector<Break>{
           {"refused", frame(kReset, 0, 1, number(7)), false, true},
           {"above the last of a GOAWAY", goaway_none, false, true},
           {"above the last, and gone", goaway_none, true, true},
           {"below the last, and gone", goaway_calm, true, false},
           {"announced to go, and gone", goaway_all, true, false},
           {"gone without a word", "", true, false},
           {"cancelled", frame(kReset, 0, 1, number(8)), false, false},
           {"refused in the middle of an answer", head(1) + frame(kReset, 0, 1, number(7)), false,
            false},
           {"ended in order without an answer", frame(kReset, 0, 1, number(0)), false, false},
           {"not HTTP/2", "HTTP/1.1 400 Bad Request\r\n\r\n", false, false}}) {
    const auto loop = net::make_sim_loop(7);
    auto [ours, theirs] = loop->make_pair();
    auto link = std::make_shared<Http2Link>(*loop, std::move(ours));
    Server server(*loop, std::move(theirs));
    const auto done = loop->run_until_done([](net::SimLoop* on, std::shared_ptr<Http2Link> over,
                                              Server* to, const Break* breaks) -> Task<bool> {
      auto exchange = Http2Link::begin(over);
      EXPECT_TRUE(exchange->begin(get(), {}));
      co_await to->next(kHeaders);
      co_await to->say(breaks->said);
      if (breaks->ends) {
        co_await on->sleep_for(std::chrono::seconds(1));
        to->go();
      }
      const auto answer = co_await answer_of(exchange.get(), on->in(std::chrono::minutes(1)));
      EXPECT_FALSE(answer) << breaks->what;
      EXPECT_EQ(exchange->was_not_processed(), breaks->was_not_processed) << breaks->what;
      co_return true;
    }(loop.get(), link, &server, &how));
    EXPECT_TRUE(done) << how.what << " hangs";
  }
}

TEST_F(LinkTest, WhatWasNotSentWhenTheUpstreamGoesMayGoAgain) {
  tell([](LinkTest* t) -> Task<void> {
    auto made = Http2Link::begin(t->link);  // and has said nothing yet
    co_await t->server->say(frame(kGoaway, 0, 0, number(0) + number(0)));
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    EXPECT_FALSE(t->link->has_room());
    EXPECT_FALSE(made->begin(get(), {}));
    EXPECT_TRUE(made->was_not_processed());
  });
}

TEST_F(LinkTest, WhatIsUnderWayWhenTheUpstreamGoesComesToItsEnd) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1) + frame(kGoaway, 0, 0, number(1) + number(0)));
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    EXPECT_FALSE(t->link->has_room());
    co_await t->server->say(frame(kData, kEndStream, 1, "ok"));
    EXPECT_EQ((co_await answer_of(exchange.get(), t->soon())).value().body, "ok");
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    EXPECT_TRUE(t->link->is_over());
  });
}

// Wherever it is reset or cut, nothing of it is taken for an end.
TEST(Link, AnAnswerThatIsCutAtAnyByteIsNoWholeOne) {
  const std::string whole = head(1) + frame(kData, 0, 1, "part") + frame(kData, 0, 1, "part")
                            + head(1, {{"x-sum", "8"}}, kEndHeaders | kEndStream);
  for (std::size_t at = 0; at <= whole.size(); ++at) {
    const auto loop = net::make_sim_loop(at);
    auto [ours, theirs] = loop->make_pair();
    auto link = std::make_shared<Http2Link>(*loop, std::move(ours));
    Server server(*loop, std::move(theirs));
    const auto done =
        loop->run_until_done([](net::SimLoop* on, std::shared_ptr<Http2Link> over, Server* to,
                                std::string said) -> Task<std::optional<Answer>> {
          auto exchange = Http2Link::begin(over);
          EXPECT_TRUE(exchange->begin(get(), {}));
          co_await to->next(kHeaders);
          co_await to->say(said);
          co_await on->sleep_for(std::chrono::seconds(1));
          to->go();
          auto answer = co_await answer_of(exchange.get(), on->in(std::chrono::minutes(1)));
          if (!answer) co_return std::nullopt;
          co_return std::move(*answer);
        }(loop.get(), link, &server, whole.substr(0, at)));
    ASSERT_TRUE(done) << at;
    EXPECT_EQ(done->has_value(), at == whole.size()) << at;
    if (*done) EXPECT_EQ((*done)->body, "partpart");
  }
}

TEST(Link, AnAnswerThatIsNoneIsRefused) {
  const std::string large(120, 'y');
  Fields many = {{":status", "200"}};
  for (int i = 0; i < 101; ++i) many.emplace_back("x-" + std::to_string(i), "y");
  std::string huge = packed({{":status", "200"}});
  for (int i = 0; i < 130; ++i) huge += packed({{"x-a", large}});
  for (const std::string& said : std::vector<std::string>{
           head(1, {{"x-a", "b"}}),
           head(1, {{":status", "20"}}),
           head(1, {{":status", "2000"}}),
           head(1, {{":status", "101"}}),
           head(1, {{":status", "200"}, {":status", "200"}}),
           head(1, {{":status", "200"}, {"X-Upper", "a"}}),
           head(1, {{":status", "200"}, {"connection", "close"}}),
           head(1, {{":status", "200"}, {"transfer-encoding", "chunked"}}),
           head(1, {{":status", "200"}, {"x-a", "b\r\nx-c: d"}}),
           head(1, {{":status", "200"}, {"x-a", std::string("b\0c", 3)}}),
           head(1, {{":status", "200"}, {"content-length", "1"}, {"content-length", "2"}}),
           head(1, {{":status", "200"}, {"content-length", "-1"}}),
           head(1, {{":status", "204"}, {"content-length", "3"}}),
           head(1, {{":status", "200"}, {"content-length", "5"}})
               + frame(kData, kEndStream, 1, "x"),
           head(1, many),
           frame(kHeaders, kEndHeaders, 1, huge),
           frame(kData, kEndStream, 1, "x"),
           head(1) + head(1, {{":status", "200"}}, kEndHeaders | kEndStream),
           head(1) + head(1, {{"content-length", "1"}}, kEndHeaders | kEndStream),
           head(2),
           frame(5, kEndHeaders, 1, number(2) + packed({{":method", "GET"}}))}) {
    const auto loop = net::make_sim_loop(3);
    auto [ours, theirs] = loop->make_pair();
    auto link = std::make_shared<Http2Link>(*loop, std::move(ours));
    Server server(*loop, std::move(theirs));
    const auto done = loop->run_until_done([](net::SimLoop* on, std::shared_ptr<Http2Link> over,
                                              Server* to, std::string all) -> Task<bool> {
      auto exchange = Http2Link::begin(over);
      EXPECT_TRUE(exchange->begin(get(), {}));
      co_await to->next(kHeaders);
      co_await to->say(all);
      co_return !co_await answer_of(exchange.get(), on->in(std::chrono::minutes(1)));
    }(loop.get(), link, &server, said));
    EXPECT_TRUE(done.value_or(false)) << said;
  }
}

TEST(Link, AnUpstreamThatFloodsIsCutOff) {
  const auto repeated = [](const std::string& one) {
    std::string all;
    for (int i = 0; i < 3000; ++i) all += one;
    return all;
  };
  for (const std::string& said : std::vector<std::string>{
           repeated(frame(kPing, 0, 0, "12345678")), repeated(frame(kSettings, 0, 0)),
           head(1) + repeated(frame(kData, 0, 1)), repeated(head(1, {{":status", "103"}})),
           repeated(frame(kReset, 0, 1, number(8))), repeated(frame(0x55, 0, 0, "x")),
           frame(kHeaders, 0, 1, packed({{":status", "200"}}))
               + repeated(frame(9, 0, 1, packed({{"x-a", "b"}})))}) {
    const auto loop = net::make_sim_loop(3);
    auto [ours, theirs] = loop->make_pair();
    auto link = std::make_shared<Http2Link>(*loop, std::move(ours));
    Server server(*loop, std::move(theirs));
    const auto done = loop->run_until_done([](net::SimLoop* on, std::shared_ptr<Http2Link> over,
                                              Server* to, std::string all) -> Task<bool> {
      auto exchange = Http2Link::begin(over);
      EXPECT_TRUE(exchange->begin(get(), {}));
      co_await to->next(kHeaders);
      co_await to->say(all);
      const auto answer = co_await answer_of(exchange.get(), on->in(std::chrono::minutes(1)));
      const auto last = co_await to->next(kGoaway);
      EXPECT_EQ(last ? number_at(last->payload, 4, 4) : 0, 11U) << all.substr(0, 60);
      co_return !answer && over->is_over();
    }(loop.get(), link, &server, said));
    EXPECT_TRUE(done.value_or(false)) << said.substr(0, 40);
  }
}

TEST_F(LinkTest, AsksForASignOfLifeInALongSilenceAndNotForEver) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    for (int i = 0; i < Http2Link::kPingsMost; ++i) {
      const auto ping = co_await t->server->next(kPing, std::chrono::seconds(100));
      EXPECT_TRUE(ping) << i;
      if (ping) co_await t->server->say(frame(kPing, kAck, 0, ping->payload));
    }
    EXPECT_FALSE(co_await t->server->next(kPing, std::chrono::minutes(10)));
    co_await t->server->say(head(1, {{":status", "200"}}, kEndHeaders | kEndStream));
    EXPECT_TRUE(co_await answer_of(exchange.get(), t->soon()));
  });
}

TEST_F(LinkTest, AnUpstreamThatGivesNoSignOfLifeIsLeft) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    const auto answer = co_await answer_of(exchange.get(), t->loop->in(std::chrono::minutes(9)));
    EXPECT_FALSE(answer);
    EXPECT_TRUE(answer.error().message().contains("no sign of life")) << answer.error().message();
    EXPECT_FALSE(exchange->was_not_processed());
    EXPECT_TRUE(t->link->is_over());
  });
}

TEST_F(LinkTest, EndsInOrderWhenNothingWantsIt) {
  tell([](LinkTest* t) -> Task<void> {
    auto exchange = t->asked();
    co_await t->server->next(kHeaders);
    co_await t->server->say(head(1, {{":status", "200"}}, kEndHeaders | kEndStream));
    EXPECT_TRUE(co_await answer_of(exchange.get(), t->soon()));
    exchange.reset();
    co_await t->loop->sleep_for(Http2Link::kIdleFor - std::chrono::seconds(1));
    EXPECT_TRUE(t->link->has_room());
    const auto last = co_await t->server->next(kGoaway);
    EXPECT_TRUE(last && number_at(last->payload, 4, 4) == 0);
    EXPECT_TRUE(t->link->is_over());
    co_await t->loop->sleep_for(std::chrono::seconds(1));
    EXPECT_TRUE(t->server->has_ended) << "and holds no descriptor";
  });
}

// Two exchanges on one link, cancelled at every await point.
class Story {
 public:
  explicit Story(net::SimLoop& loop) : loop_(loop) {
    auto [ours, theirs] = loop.make_pair();
    link_ = std::make_shared<Http2Link>(loop, std::move(ours));
    server_.emplace(loop, std::move(theirs));
  }
  Task<void> act() {
    auto first = Http2Link::begin(link_);
    EXPECT_TRUE(first->begin(post(), {}));
    auto second = Http2Link::begin(link_);
    EXPECT_TRUE(second->begin(get(), {}));
    (void)co_await first->request().finish("body", {}, loop_.in(std::chrono::minutes(1)));
    co_await server_->next(kHeaders);
    co_await server_->say(head(3) + head(1) + frame(kData, 0, 1, "a") + frame(kData, 0, 3, "b"));
    first.reset();
    co_await server_->say(frame(kData, kEndStream, 3, "c"));
    const auto answer = co_await answer_of(second.get(), loop_.in(std::chrono::minutes(1)));
    EXPECT_EQ(answer.value().body, "bc");
  }
  void after() { EXPECT_TRUE(link_->is_idle()); }

 private:
  net::SimLoop& loop_;
  std::shared_ptr<Http2Link> link_;
  std::optional<Server> server_;
};

TEST(Link, IsLeftAtAnyPointAndHasRoomAgain) { EXPECT_GT(net::cancel_everywhere<Story>(11), 5U); }

}  // namespace
}  // namespace gatehouse::gateway
