// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>

#include "audit/entry.h"
#include "audit/verify.h"
#include "base/check.h"
#include "base/encoding.h"
#include "ipc/cli_control.h"
#include "wire/trace.h"

namespace gatehouse::sim {
namespace {

using net::Task;

std::string seal_to(const std::string& key, std::string_view value) {
  std::string sealed(value.size() + crypto_box_SEALBYTES, '\0');
  crypto_box_seal(reinterpret_cast<unsigned char*>(sealed.data()), bytes_of(value).data(),
                  value.size(), bytes_of(key).data());
  return sealed;
}

std::string response(int status, std::string_view body,
                     std::string_view type = "application/json") {
  return fmt::format("HTTP/1.1 {} X\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n{}", status,
                     type, body.size(), body);
}

// Which act it is of: "act 7", "act":7, /events/7; 0 for none.
std::uint64_t act_number(const Asked& asked) {
  std::string_view text = asked.body;
  std::size_t at = text.rfind("act");
  if (at == std::string_view::npos) {
    text = asked.head.target;
    at = 0;
  }
  at = text.find_first_of("0123456789", at);
  if (at == std::string_view::npos) return 0;
  return std::strtoull(std::string(text.substr(at)).c_str(), nullptr, 10);
}

std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string field_of(std::string_view form, std::string_view name) {
  const std::string key = std::string(name) + "=";
  for (std::size_t at = 0; at < form.size();) {
    const std::size_t end = std::min(form.find('&', at), form.size());
    const std::string_view pair = form.substr(at, end - at);
    if (pair.starts_with(key)) return std::string(pair.substr(key.size()));
    at = end + 1;
  }
  return "";
}

}  // namespace

World::World(std::uint64_t seed, Plan plan)
    : random_(seed),
      plan_(plan),
      loop_(net::make_sim_loop(seed)),
      servers_(*loop_),
      agents_(*loop_),
      days_(*loop_) {
  house_ = std::make_unique<House>(*loop_, seed);
  for (const std::uint16_t port : {kModelPort, kCalendarPort, kToolsPort, kIssuerPort}) {
    auto listener = loop_->listen(net::Endpoint::ip("127.0.0.1", port));
    CHECK(listener.has_value());
    listeners_.push_back(std::move(*listener));
    servers_.spawn(serve(listeners_.back().get(), port));
  }
}

World::~World() {
  days_.cancel_all();
  agents_.cancel_all();
  house_.reset();
  servers_.cancel_all();
}

void World::expect(bool holds, std::string_view otherwise) {
  if (!holds) broken_.emplace_back(otherwise);
}

void World::look_for_canaries(std::string_view where, std::string_view bytes, bool is_agent) {
  for (const std::string_view canary : {kModelKey, kClientSecret, kRefreshPrefix, kRootKey}) {
    expect(!bytes.contains(canary), fmt::format("{} came to {}", canary, where));
  }
  if (is_agent) expect(!bytes.contains(kAccessPrefix), "an access token came to an agent");
}

// --- the services outside

Task<void> World::serve(net::Listener* listener, std::uint16_t port) {
  while (true) {
    auto stream = co_await listener->accept(Deadline::never());
    if (!stream) co_return;
    servers_.spawn(serve_one(std::move(*stream), port));
  }
}

Task<void> World::serve_one(std::unique_ptr<net::Stream> stream, std::uint16_t port) {
  std::string waiting;
  std::array<char, 4096> buffer;
  while (true) {
    wire::RequestParser parser;
    while (!parser.done()) {
      // A connection that is kept is closed by its server at some time.
      const Deadline deadline = loop_->in(std::chrono::milliseconds(200 + random_.below(20'000)));
      if (waiting.empty()) {
        const auto got = co_await stream->read(buffer, deadline);
        if (!got || *got == 0) co_return;
        waiting.append(buffer.data(), *got);
      }
      const auto progress = parser.feed(waiting);
      if (!progress) {
        expect(false, "the gateway sent broken HTTP: " + progress.error().message());
        co_return;
      }
      waiting.erase(0, progress->consumed);
    }
    Asked asked;
    asked.head = parser.take();
    asked.durable = house_->durable_entries();
    if (const auto parent = wire::TraceParent::parse(asked.header("traceparent"))) {
      asked.span = parent->parent.text();
    }
    wire::BodyReader reader(asked.head.framing);
    while (!reader.done()) {
      if (waiting.empty()) {
        const auto got = co_await stream->read(buffer, loop_->in(30s));
        if (!got || *got == 0) co_return;  // the gateway gave it up
        waiting.append(buffer.data(), *got);
      }
      const auto piece = reader.feed(waiting);
      if (!piece) co_return;
      asked.body += piece->payload;
      waiting.erase(0, piece->consumed);
    }
    if (!co_await answer(stream.get(), port, std::move(asked))) co_return;
  }
}

Task<bool> World::say(net::Stream* stream, std::string text) {
  if (chance(12)) co_await loop_->sleep_for(std::chrono::milliseconds(random_.below(2000)));
  if (plan_.crashes && chance(25)) {
    // It breaks in the midst of what it says.
    (void)co_await stream->write(std::string_view(text).substr(0, random_.below(text.size())),
                                 loop_->in(30s));
    loop_->break_stream(*stream);
    reach("an upstream broke off");
    co_return false;
  }
  const auto said = co_await stream->write(text, loop_->in(30s));
  co_return said.has_value();
}

Task<bool> World::answer(net::Stream* stream, std::uint16_t port, Asked asked) {
  if (port == kIssuerPort) {
    if (plan_.crashes && chance(15)) co_await loop_->sleep_for(3s);
    const std::string text = answer_issuer(asked);
    (void)co_await say(stream, text);
    co_return false;  // the courier asks to close
  }
  asked_.insert(asked.span);
  look_at_outside(asked, act_number(asked));
  if (port == kModelPort) co_return co_await answer_model(stream, std::move(asked));
  // Section 4 of docs/architecture.md: what has an effect is on disk before its first byte is here.
  const bool has_effect =
      port == kCalendarPort ? asked.head.method != "GET" : asked.body.contains("\"tools/call\"");
  if (has_effect) {
    expect(house_->was_durable(asked.span, asked.durable),
           "an effect came upstream without a durable Intent: " + asked.head.target);
    effects_.insert(asked.span);
  }
  std::string text = port == kCalendarPort ? answer_calendar(asked) : answer_tools(asked);
  co_return co_await say(stream, std::move(text));
}

Task<bool> World::answer_model(net::Stream* stream, Asked asked) {
  const std::string wanted = "Bearer " + std::string(kModelKey);
  if (asked.header("authorization") != wanted) {
    expect(false, "a model call came without the key");
    co_return co_await say(stream, response(401, R"({"error":{"message":"who?"}})"));
  }
  authorized_.insert(asked.span);
  if (!asked.body.contains("\"stream\":true")) said_[asked.span] = asked.body;
  // It tells what it was given, as an endpoint of an attacker's does.
  const std::string text =
      chance(4) ? "echo " + std::string(asked.header("authorization")) : "hello from the model";
  if (!asked.body.contains("\"stream\":true")) {
    co_return co_await say(
        stream,
        response(200, fmt::format(R"({{"id":"answer-{}","object":"chat.completion","model":"m",)"
                                  R"("choices":[{{"index":0,"message":{{"role":"assistant",)"
                                  R"("content":"{}"}},"finish_reason":"stop"}}],)"
                                  R"("usage":{{"prompt_tokens":5,"completion_tokens":3}}}})",
                                  asked.span, text)));
  }
  std::string out =
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
      "transfer-encoding: chunked\r\n\r\n";
  const std::uint64_t events = 1 + random_.below(12);
  for (std::uint64_t i = 0; i < events; ++i) {
    out +=
        chunk(fmt::format("data: {{\"id\":\"answer-{}\",\"choices\":[{{\"index\":0,\"delta\":"
                          "{{\"content\":\"{} {}\"}}}}]}}\n\n",
                          asked.span, text, i));
    if (!co_await say(stream, std::exchange(out, {}))) co_return false;
    co_await loop_->sleep_for(std::chrono::milliseconds(random_.below(400)));
  }
  co_return co_await say(stream, chunk("data: [DONE]\n\n") + "0\r\n\r\n");
}

std::string World::answer_calendar(const Asked& asked) {
  const std::string_view field = asked.header("authorization");
  const std::string token(field.starts_with("Bearer ") ? field.substr(7) : field);
  const auto found = access_.find(token);
  if (found == access_.end() || found->second < loop_->now()) {
    reach("an access token was refused upstream");
    return response(401, R"({"error":"invalid_token"})");
  }
  authorized_.insert(asked.span);
  if (chance(20)) access_.erase(found);  // revoked before its time
  return response(200, fmt::format(R"({{"id":"answer-{}"}})", asked.span));
}

std::string World::answer_tools(const Asked& asked) {
  expect(asked.header("authorization").empty(), "a credential went to a service that has none");
  return response(200, fmt::format(R"({{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":)"
                                   R"("text","text":"answer-{}"}}]}}}})",
                                   asked.span));
}

// RFC 6749 with rotating refresh tokens. One that was used holds on until a later one is, as
// servers do for clients that lose an answer; a request that comes late takes nothing from later
// tokens.
std::string World::answer_issuer(const Asked& asked) {
  if (plan_.crashes && chance(10)) return response(503, "{}");
  const std::string grant = field_of(asked.body, "grant_type");
  std::string user;
  if (grant == "authorization_code") {
    user = field_of(asked.body, "code").substr(5);  // code-alice
  } else {
    const auto known = refresh_.find(field_of(asked.body, "refresh_token"));
    if (known == refresh_.end()) {
      expect(false, "a refresh token was lost: the vault came with one that holds no more");
      return response(400, R"({"error":"invalid_grant"})");
    }
    const auto [owner, number] = known->second;
    user = owner;
    reach("a token was refreshed");
    const auto later = std::find_if(refresh_.begin(), refresh_.end(), [&](const auto& token) {
      return token.second.first == owner && token.second.second > number;
    });
    if (later != refresh_.end()) reach("the refresh token before was used again");
    std::erase_if(refresh_, [&](const auto& token) {
      return token.second.first == owner && token.second.second < number;
    });
  }
  const std::string fresh = std::string(kRefreshPrefix) + user + std::to_string(next_token_);
  refresh_[fresh] = {user, next_token_};
  const std::string access = std::string(kAccessPrefix) + std::to_string(next_token_++);
  access_[access] = loop_->now() + 20s;
  return response(200, fmt::format(R"({{"access_token":"{}","token_type":"Bearer",)"
                                   R"("expires_in":20,"refresh_token":"{}"}})",
                                   access, fresh));
}

// --- people

Task<Result<void>> World::connect_user(std::string user) {
  ipc::Channel* people = house_->people();
  if (people == nullptr) co_return failure(Error::kUnavailable, "control is away");
  const auto started = CO_TRY(co_await people->call(
      ipc::StartAuthorization{"default", user, "calendar", "http://127.0.0.1:9/callback"},
      loop_->in(40s)));
  people = house_->people();
  if (people == nullptr) co_return failure(Error::kUnavailable, "control is away");
  const auto key = CO_TRY(co_await people->call(ipc::GetPublicKey{}, loop_->in(40s)));
  people = house_->people();
  if (people == nullptr) co_return failure(Error::kUnavailable, "control is away");
  CO_TRY(co_await people->call(
      ipc::FinishAuthorization{started.state, "", seal_to(key.x25519, "code-" + user)},
      loop_->in(40s)));
  co_return Result<void>();
}

Task<Result<void>> World::connect_people() {
  ipc::Channel* people = house_->people();
  if (people == nullptr) co_return failure(Error::kUnavailable, "control is away");
  const auto key = CO_TRY(co_await people->call(ipc::GetPublicKey{}, loop_->in(40s)));
  CO_TRY(co_await people->call(ipc::PutSealed{"default", "", "model", ipc::CredentialKind::kStatic,
                                              seal_to(key.x25519, kModelKey)},
                               loop_->in(40s)));
  CO_TRY(co_await people->call(
      ipc::PutSealed{"default", "", "calendar", ipc::CredentialKind::kOauthClientSecret,
                     seal_to(key.x25519, kClientSecret)},
      loop_->in(40s)));
  for (const char* user : {"alice", "bob"}) {
    Result<void> connected;
    for (int tries = 0; tries < 20; ++tries) {
      connected = co_await connect_user(user);
      if (connected) break;
      co_await loop_->sleep_for(1s);
    }
    CO_TRY(std::move(connected));
  }
  co_return Result<void>();
}

void World::begin() {
  house_->start();
  loop_->run_for(2s);  // the roles find each other
  const auto connected = loop_->run_until_done(connect_people());
  if (!connected || !*connected) {
    expect(false, "people could not connect their accounts: "
                      + (connected ? connected->error().message() : std::string("it hangs")));
  }
}

World::Agent World::agent_of(const RunId& run, const std::vector<std::string>& environment) {
  Agent agent{run, "", "", nullptr};
  for (const std::string& variable : environment) {
    if (variable.starts_with("MODEL_KEY=")) agent.model_key = variable.substr(10);
    if (variable.starts_with("CALENDAR_TOKEN=")) agent.calendar_token = variable.substr(15);
  }
  expect(agent.model_key.starts_with("ghph_"), "a run began without its placeholder");
  return agent;
}

Task<std::optional<World::Agent>> World::begin_run(std::string user) {
  ipc::Channel* people = house_->people();
  if (people == nullptr) co_return std::nullopt;
  ipc::StartRun request;
  request.agent = "bot";
  request.user = user;
  const auto reply = co_await people->exchange(ipc::parcel_of(request), {}, loop_->in(60s));
  if (!reply) co_return std::nullopt;
  const auto started = ipc::decode<ipc::RunStarted>(reply->payload);
  CHECK(started.has_value());
  live_runs_.insert(started->run);
  const SimDoor* door = house_->door(started->run);
  if (door == nullptr) co_return std::nullopt;  // it ended meanwhile
  co_return agent_of(started->run, door->environment);
}

std::optional<World::Agent> World::start_run(const std::string& user) {
  return loop_->run_until_done(begin_run(user)).value_or(std::nullopt);
}

// --- agents

Task<std::optional<int>> World::read_answer(net::Stream* stream, bool is_model) {
  wire::ResponseParser parser;
  std::string waiting;
  std::string all;
  std::optional<std::uint64_t> durable_at_first_byte;
  std::array<char, 4096> buffer;
  const auto more = [](this auto, World* world, net::Stream* from, std::array<char, 4096>* into,
                       std::string* out, std::string* seen) -> Task<bool> {
    const auto got = co_await from->read(*into, world->loop_->in(900s));
    if (!got || *got == 0) co_return false;
    out->append(into->data(), *got);
    seen->append(into->data(), *got);
    co_return true;
  };
  while (!parser.done()) {
    if (waiting.empty() && !co_await more(this, stream, &buffer, &waiting, &all)) {
      look_for_canaries("an agent", all, true);
      co_return std::nullopt;
    }
    if (!durable_at_first_byte) durable_at_first_byte = house_->durable_entries();
    const auto progress = parser.feed(waiting);
    if (!progress) {
      expect(false, "an agent got broken HTTP: " + progress.error().message());
      co_return std::nullopt;
    }
    waiting.erase(0, progress->consumed);
  }
  const wire::ResponseHead head = parser.take();
  const auto framing = wire::response_framing(head, "POST");
  CHECK(framing.has_value());
  wire::BodyReader reader(*framing);
  bool is_whole = true;
  std::string payload;
  while (!reader.done()) {
    if (waiting.empty() && !co_await more(this, stream, &buffer, &waiting, &all)) {
      is_whole = false;
      break;
    }
    const auto piece = reader.feed(waiting);
    if (!piece) {
      expect(false, "an agent got a broken body");
      co_return std::nullopt;
    }
    payload += piece->payload;
    waiting.erase(0, piece->consumed);
  }
  look_for_canaries("an agent", all, true);
  look_for_canaries("an agent", payload, true);
  const std::size_t at = payload.find("answer-");
  if (at != std::string::npos && at + 7 + 16 <= payload.size()) {
    const std::string span = payload.substr(at + 7, 16);
    expect(asked_.contains(span), "an answer came that nobody gave");
    if (is_model) {
      answered_.insert(span);
      expect(house_->was_durable(span, *durable_at_first_byte),
             "an answer's first byte was released before its Intent was durable");
    }
  }
  if (payload.contains("echo ")) reach("an echoed credential was taken out");
  if (head.status == 503 && all.contains("audit")) reach("refused while the audit role was away");
  if (head.status >= 500) reach("an error in words");
  if (head.status == 200 && is_whole) expect(at != std::string::npos, "a 200 that is no answer");
  if (!is_whole) reach("an answer was cut");
  if (!is_whole) co_return std::nullopt;
  co_return head.status;
}

Task<std::optional<int>> World::act(Agent agent, Act what) {
  auto stream = co_await reach_gateway(agent);
  if (!stream) co_return std::nullopt;
  const std::uint64_t number = next_act_++;
  std::string method = "POST";
  std::string url = "http://model.gatehouse/v1/chat/completions";
  std::string key = agent.model_key;
  std::string body =
      fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"act {}"}}]{}}})", number,
                  what == Act::kModelStream ? R"(,"stream":true)" : "");
  if (what == Act::kModel) body = next_turn(agent.run, number);
  if (what == Act::kRead || what == Act::kWrite || what == Act::kForbidden) {
    method = what == Act::kRead ? "GET" : what == Act::kWrite ? "POST" : "DELETE";
    url = fmt::format("http://calendar.gatehouse/events/{}", number);
    key = agent.calendar_token;
    body = what == Act::kWrite ? fmt::format(R"({{"act":{}}})", number) : "";
  } else if (what == Act::kTool) {
    url = "http://tools.gatehouse/mcp";
    key.clear();
    body = fmt::format(R"({{"jsonrpc":"2.0","id":1,"method":"tools/call","params":)"
                       R"({{"name":"book","arguments":{{"act":{}}}}}}})",
                       number);
  } else if (what == Act::kMisplaced) {
    url = "http://tools.gatehouse/mcp";
    body = R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})";
  }
  std::string text = fmt::format("{} {} HTTP/1.1\r\nhost: {}\r\n", method, url,
                                 url.substr(7, url.find('/', 7) - 7));
  if (!key.empty()) text += fmt::format("authorization: Bearer {}\r\n", key);
  if (!body.empty()) {
    text += fmt::format("content-type: application/json\r\ncontent-length: {}\r\n", body.size());
  }
  if (agent.laptop) {
    text += fmt::format("proxy-authorization: Bearer {}\r\n", agent.laptop->token());
    if (const std::string why = why_not(agent); !why.empty()) {
      forbidden_[number] = {why, clock_jumps_};
    }
  }
  text += "\r\n" + body;
  if (!co_await (*stream)->write(text, loop_->in(30s))) co_return std::nullopt;
  const bool is_model = what == Act::kModel || what == Act::kModelStream;
  const auto status = co_await read_answer(stream->get(), is_model);
  if (what == Act::kForbidden || what == Act::kMisplaced) {
    expect(!status || *status != 200, "what no rule allows passed");
  }
  co_return status;
}

// A conversation that is long enough for what was said before to be known, and goes on.
std::string World::next_turn(const RunId& run, std::uint64_t act) {
  std::string& talk = talks_[run];
  if (talk.empty() || talk.size() > 40'000) {
    talk = fmt::format(R"({{"role":"system","content":"{}{}"}})", run.text(),
                       std::string(18'000 + random_.below(2'000), '.'));
  }
  talk += fmt::format(R"(,{{"role":"user","content":"{}act {}"}})",
                      std::string(random_.below(6'000), '-'), act);
  return R"({"model":"m","messages":[)" + talk + "]}";
}

World::Act World::any_act() {
  constexpr std::array kActs = {Act::kModel, Act::kModelStream, Act::kRead,      Act::kWrite,
                                Act::kTool,  Act::kForbidden,   Act::kMisplaced, Act::kModelStream,
                                Act::kWrite, Act::kTool};
  return kActs[random_.below(kActs.size())];
}

Task<void> World::work(std::string user, int acts) {
  std::optional<Agent> agent;
  for (; !agent && acts > 0; --acts) {
    agent = co_await begin_run(user);
    if (agent) break;
    reach("a run was refused");
    co_await loop_->sleep_for(std::chrono::milliseconds(200 + random_.below(2000)));
  }
  if (!agent) co_return;
  for (int i = 0; i < acts; ++i) {
    co_await loop_->sleep_for(std::chrono::milliseconds(random_.below(6000)));
    if (house_->door(agent->run) == nullptr) co_return;  // its sandbox is gone
    const Act what = any_act();
    const bool was_killed = house_->is_killed(agent->run);
    if (chance(6)) {
      // It leaves before the answer is whole.
      const Nanos patience = std::chrono::milliseconds(random_.below(500));
      const auto first = co_await net::race(
          *loop_, act(*agent, what), [](this auto, net::Loop* loop, Nanos span) -> Task<int> {
            co_await loop->sleep_for(span);
            co_return 0;
          }(loop_.get(), patience));
      if (first.index() == 1) reach("an agent left");
      continue;
    }
    const auto status = co_await act(*agent, what);
    if (was_killed && house_->is_killed(agent->run)) {
      expect(!status || *status >= 400, "a killed run got an answer");
      reach("a killed run tried to act");
    }
    if (status && *status == 200) reach("an act was done");
  }
}

// --- bad days

void World::one_bad_day() {
  static constexpr std::array kRoles = {"audit",   "vault",     "courier",
                                        "control", "gateway.1", "gateway"};
  const std::uint64_t day = random_.below(plan_.crashes ? 11 : 2);
  if (day == 0 && plan_.kills && !live_runs_.empty()) {
    auto victim = live_runs_.begin();
    std::advance(victim, static_cast<std::ptrdiff_t>(random_.below(live_runs_.size())));
    house_->kill_run(*victim);
    reach("a run was killed");
  } else if (day == 1 && plan_.kills) {
    house_->kill_all(true);
    days_.spawn([](this auto, World* world) -> Task<void> {
      co_await world->loop_->sleep_for(2s);
      world->house_->kill_all(false);
    }(this));
    reach("everything was killed");
  } else if (day == 2) {
    house_->lose_power();
    house_->start();
    reach("the power failed");
  } else if (day == 3) {
    static constexpr std::array kDisks = {"audit", "audit", "vault", "control"};
    house_->cut_power_at(kDisks[random_.below(kDisks.size())], 1 + random_.below(12));
    days_.spawn([](this auto, World* world) -> Task<void> {
      co_await world->loop_->sleep_for(500ms);
      if (!world->house_->has_lost_power()) co_return;
      world->house_->lose_power();
      world->house_->start();
    }(this));
    reach("the power failed in the midst of a write");
  } else if (day == 4) {
    house_->fail_audit_disk(chance(2) ? Error::kExhausted : Error::kCorrupt);
    reach("the log's disk failed");
  } else if (day == 5) {
    const auto hours = static_cast<std::int64_t>(random_.below(96)) - 48;
    loop_->jump_wall(std::chrono::hours(hours));
    ++clock_jumps_;
    reach(hours < 0 ? "the clock went back" : "the clock jumped ahead");
  } else if (day > 5) {
    const char* role = kRoles[random_.below(kRoles.size())];
    house_->kill(role);
    reach(std::string("killed: ") + role);
  }
}

Task<void> World::bad_days() {
  const std::uint64_t days = 2 + random_.below(7);
  for (std::uint64_t i = 0; i < days; ++i) {
    co_await loop_->sleep_for(std::chrono::milliseconds(100 + random_.below(7000)));
    one_bad_day();
    last_bad_day_ = loop_->now();
  }
}

void World::recover() {
  if (house_->has_lost_power()) house_->lose_power();
  house_->kill_all(false);
  house_->calm();
  last_bad_day_ = loop_->now();
  loop_->run_for(3s);
}

// --- the story

void World::live() {
  begin();
  if (!broken_.empty()) return;
  for (int i = 0; i < plan_.runs; ++i) {
    agents_.spawn(work(i % 2 == 0 ? "alice" : "bob", plan_.acts));
  }
  for (int i = 0; i < plan_.outside; ++i) {
    agents_.spawn(work_outside(i % 2 == 0 ? "bob" : "alice", plan_.acts));
  }
  if (plan_.crashes || plan_.kills) days_.spawn(bad_days());
  for (int i = 0; i < 90 && agents_.size() + days_.size() > 0; ++i) loop_->run_for(2s);
  days_.cancel_all();
  recover();
  for (int i = 0; i < 90 && agents_.size() > 0; ++i) loop_->run_for(10s);
  expect(agents_.size() == 0, "an agent waits for ever");
  agents_.cancel_all();
  // After every bad day the house works as before.
  works_again(start_run("alice"));
  works_again(attach("bob"));
  end();
}

void World::works_again(const std::optional<Agent>& agent) {
  expect(agent.has_value(), "no run can be started when all is well again");
  if (!agent) return;
  Renewing renewing;
  net::Nursery forwarder(*loop_);
  if (agent->laptop) forwarder.spawn(keep_token(agent->laptop.get(), &renewing));
  for (const Act what : {Act::kModel, Act::kRead, Act::kWrite, Act::kTool}) {
    std::optional<std::optional<int>> status;
    for (int tries = 0; tries < 8; ++tries) {
      status = loop_->run_until_done(act(*agent, what));
      if (status && *status && **status == 200) break;
      loop_->run_for(5s);
    }
    expect(status && *status && **status == 200,
           fmt::format("act {} fails when all is well again: {}", static_cast<int>(what),
                       status && *status ? std::to_string(**status) : "no answer"));
  }
}

void World::end() {
  std::vector<RunId> open(live_runs_.begin(), live_runs_.end());
  for (const RunId& run : open) house_->end_sandbox(run);
  loop_->run_for(std::chrono::minutes(2));  // whatever waits has given up
  look_for_lives_outside();
  expect(house_->held() == 0,
         fmt::format("{} connections and leases are held by nobody", house_->held()));
  for (const std::string& leak : house_->leaks()) {
    expect(false, leak + " left the vault towards a gateway");
  }
  house_->stop();
  loop_->run_for(1s);
  look_at_log();
  for (const char* name : {"audit", "control", "vault"}) {
    net::SimFileSystem& disk = house_->disk(name);
    for (const std::string& file : disk.list("").value_or(std::vector<std::string>())) {
      const auto bytes = net::read_file(disk, file, 64 * 1024 * 1024);
      if (bytes) look_for_canaries(std::string("the disk of ") + name, *bytes, true);
    }
  }
}

void World::look_at_log() {
  net::SimFileSystem& disk = house_->disk("audit");
  const audit::Report report = audit::verify(disk);
  expect(report.intact(),
         "the log does not verify: " + (report.damage ? report.damage->text() : std::string()));
  auto log = audit::Log::open(disk, {.segment_bytes = 1024 * 1024});
  expect(log.has_value(), "the log does not open");
  if (!log) return;
  std::map<std::string, int> intents;
  std::map<std::string, int> settled;
  std::set<std::string> leased;
  for (std::uint64_t sequence = 0; sequence < (*log)->size(); ++sequence) {
    const auto bytes = (*log)->read(sequence);
    const auto entry = bytes ? audit::decode(*bytes) : Result<audit::Entry>(Failure(bytes.error()));
    expect(entry.has_value(), "an Entry does not read");
    if (!entry) continue;
    if (entry->kind == audit::Kind::kIntent) ++intents[entry->span.text()];
    if (entry->kind == audit::Kind::kIntent) look_at_request(**log, *entry);
    if (entry->kind == audit::Kind::kSettled) ++settled[entry->span.text()];
    if (entry->kind == audit::Kind::kGap) reach("a gap is on record");
    if (entry->kind == audit::Kind::kVaultUse && entry->exchange && entry->tag("use") == "lease") {
      leased.insert(entry->exchange->text());
    }
  }
  const bool is_quiet = house_->crashes <= house_->names().size();  // only the orderly end
  // A gateway that died takes nothing with it: the audit role tells the end of what it had open.
  const bool is_book_whole =
      house_->book_crashes <= 2 && !reached_.contains("the log's disk failed");
  for (const auto& [span, count] : intents) {
    const int ends = settled.contains(span) ? settled.at(span) : 0;
    if (is_quiet) {
      expect(count == 1 && ends == 1,
             fmt::format("{} Intents and {} ends of one Exchange without a crash", count, ends));
    }
    if (is_book_whole && !is_quiet) {
      expect(count == 1 && ends == 1,
             fmt::format("{} Intents and {} ends of one Exchange though only gateways died", count,
                         ends));
      reach("every Exchange of a gateway that died has its end");
    }
    if (ends == 0) reach("an Intent without an end");
    if (count > 1) reach("an Entry stands twice after the audit role went");
  }
  for (const std::string& span : effects_) {
    expect(intents.contains(span), "an effect is not on record after all that happened");
  }
  for (const std::string& span : answered_) {
    expect(intents.contains(span), "a model's answer is not on record after all that happened");
  }
  for (const auto& [span, count] : settled) {
    expect(intents.contains(span), "an end without its Intent");
  }
  if (!is_quiet) return;
  for (const std::string& span : asked_) {
    expect(intents.contains(span), "an upstream was asked and it is not on record");
  }
  expect(leased.size() >= authorized_.size(), "credentials were used without the vault's Entry");
}

// What came to the model is on record byte for byte, of however many parts it is made.
void World::look_at_request(audit::Log& log, const audit::Entry& entry) {
  const auto said = said_.find(entry.span.text());
  if (said == said_.end()) return;
  expect(!entry.bodies.empty() && entry.bodies[0].name == "request", "a request without its body");
  if (entry.bodies.empty()) return;
  const audit::BodyRef& body = entry.bodies[0];
  const auto bytes = log.read_body(body.object, 0, body.size);
  expect(bytes && *bytes == said->second, "what came to the model is not what is on record");
  reach("a conversation is on record as it was said");
}

}  // namespace gatehouse::sim
