// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "cli/adopt/folder.h"
#include "cli/adopt/plan.h"
#include "cli/adopt/report.h"

namespace gatehouse::cli::adopt {
namespace {

const std::string kOpenai = "sk-proj-0123456789abcdefghijkl";
const std::string kAnthropic = "sk-ant-api03-0123456789abcdefgh";

std::vector<Finding> read(Reader reader, const std::string& text, const std::string& name = "f") {
  std::vector<Finding> found;
  const SourceFile file{name, PrivateText(text)};
  EXPECT_TRUE(reader(file, found));
  return found;
}

// What a config has, by where it stands: the origin it is for, or why it stays.
std::map<std::string, std::string> judged(Reader reader, const std::string& text) {
  std::map<std::string, std::string> out;
  for (const Finding& finding : read(reader, text)) {
    out[finding.where] = finding.left_because.empty()
                             ? finding.target.origin + " " + finding.target.header + " "
                                   + finding.splice.head + finding.splice.tail
                             : finding.left_because.substr(0, 20);
  }
  return out;
}

using Judged = std::map<std::string, std::string>;

TEST(OpenclawConfig, KnowsKeysByTheirPlaceAndByTheirShape) {
  EXPECT_EQ(
      judged(read_openclaw_config, R"({
    models: { providers: {
      deepseek: { apiKey: 'sk-0123456789' },
      mine: { baseUrl: 'https://llm.example.com/v1', apiKey: "abcdefgh12",
              api: 'openai-completions' },
      claude: { baseUrl: 'https://claude.example.com', api: 'anthropic-messages',
                apiKey: 'abcdefgh12' },
      local: { baseUrl: 'http://127.0.0.1:11434/v1', apiKey: 'abcdefgh12' },
      later: { baseUrl: '${URL}', apiKey: 'abcdefgh12' },
    } },
    mcp: { servers: { x: { url: 'https://x.example.com/mcp', headers: {
                             Authorization: 'Bearer abcdefgh12', 'X-Api-Key': 'abcdefgh12' } },
                      y: { command: 'y', env: { GITHUB_TOKEN: 'ghp_0123456789abcdefghij' } } } },
    channels: { telegram: { botToken: '123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' },
                discord: { token: 'abcdefgh12' } },
    gateway: { auth: { token: 'abcdefgh12' } },
    skills: { entries: { odd: { apiKey: 'abcdefgh12' }, exa: { apiKey: 'abcdefgh12' } } },
    note: 'sk-ant-api03-0123456789abcdefgh',
  })"),
      (Judged{
          {"models.providers.deepseek.apiKey", "https://api.deepseek.com authorization '${}'"},
          {"models.providers.mine.apiKey", "https://llm.example.com authorization \"${}\""},
          {"models.providers.claude.apiKey", "https://claude.example.com x-api-key '${}'"},
          {"models.providers.local.apiKey", "it is for a server o"},
          {"models.providers.later.apiKey", "the address beside i"},
          {"mcp.servers.x.headers.Authorization",
           "https://x.example.com authorization 'Bearer ${}'"},
          {"mcp.servers.x.headers.X-Api-Key", "https://x.example.com x-api-key '${}'"},
          {"mcp.servers.y.env.GITHUB_TOKEN", "https://api.github.com authorization '${}'"},
          {"channels.telegram.botToken", "it is sent in the pa"},
          {"channels.discord.token", "it is sent inside a "},
          {"gateway.auth.token", "the agent itself com"},
          {"skills.entries.odd.apiKey", "it is not known wher"},
          {"skills.entries.exa.apiKey", "https://api.exa.ai x-api-key '${}'"},
          {"note", "https://api.anthropic.com x-api-key '${}'"},
      }));
}

TEST(OpenclawConfig, LeavesReferencesAndWordsAlone) {
  EXPECT_EQ(judged(read_openclaw_config, R"({
    a: { apiKey: '${OPENAI_API_KEY}' }, b: { apiKey: 'OPENAI_API_KEY' }, c: { apiKey: 'none' },
    d: { apiKey: { source: 'env', provider: 'default', id: 'OPENAI_API_KEY' } },
    g: { apiKey: 'openai:manual' }, mine: { apiKey: 'mine:default' },
    e: { token: 'secretref-env:OPENAI_API_KEY' }, maxTokens: 8192,
    f: { password: 'two words here' },
  })"),
            Judged());
}

TEST(OpenclawConfig, StopsAtMoreKeysThanAnyoneHas) {
  std::string text = "[";
  for (std::size_t i = 0; i < 20'000; ++i) text += "{token:'abcdefgh12'},";
  EXPECT_EQ(read(read_openclaw_config, text + "]").size(), kFindingsMost + 1);
  text.clear();
  for (std::size_t i = 0; i < 2'000; ++i) text += "A_TOKEN=abcdefgh12\n";
  EXPECT_EQ(read(read_dotenv, text).size(), kFindingsMost + 1);
}

TEST(OpenclawConfig, SeesKeysInCommentsAndTellsOfThem) {
  const auto found = read(read_openclaw_config, "{ // old: " + kAnthropic + "\n}");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].line, 1U);
  EXPECT_EQ(found[0].column, 11U);
  EXPECT_FALSE(found[0].left_because.empty());
}

TEST(OpenclawProfiles, AKeyBecomesAReferenceMemberAndAll) {
  const std::string text = R"({"version":1,"profiles":{
 "anthropic:default":{"type":"api_key","provider":"anthropic",
                      "key":"sk-ant-api03-0123456789abcdefgh"},
 "x:y":{"type":"oauth","provider":"openai","access":"abcdefgh12","refresh":"abcdefgh34"}}})";
  auto found = read(read_openclaw_profiles, text);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_FALSE(found[1].left_because.empty());
  EXPECT_FALSE(found[2].left_because.empty());
  const Spliced made = spliced(text, {{&found[0].splice, "ANTHROPIC_API_KEY"}});
  EXPECT_TRUE(made.after.view().contains(
      R"("keyRef": {"source": "env", "provider": "default", "id": "ANTHROPIC_API_KEY"}},)"));
}

TEST(ClaudeSettings, AVariableGivesWayToTheEnvironmentsOwn) {
  const Judged found = judged(read_claude_settings, R"({
    "model": "opus", "apiKeyHelper": "/usr/local/bin/key-0123456789",
    "env": { "ANTHROPIC_API_KEY": "sk-ant-api03-0123456789abcdefgh", "GITHUB_TOKEN": "abcdefgh12",
             "MY_TOKEN": "abcdefgh12", "DEBUG": "abcdefgh12" },
    "primaryApiKey": "sk-ant-api03-0123456789abcdefgi",
    "claudeAiOauth": { "accessToken": "sk-ant-oat01-0123456789abcdefgh" },
    "mcpServers": { "x": { "type": "http", "url": "https://x.example.com/mcp",
                           "headers": { "Authorization": "Bearer abcdefgh12" } } }
  })");
  const std::string kept = R"("GATEHOUSE_KEEPS_": "in its vault")";
  EXPECT_EQ(found, (Judged{
                       {"env.ANTHROPIC_API_KEY", "https://api.anthropic.com x-api-key " + kept},
                       {"env.GITHUB_TOKEN", "https://api.github.com authorization " + kept},
                       {"env.MY_TOKEN", "it is not known wher"},
                       {"primaryApiKey", "https://api.anthropic.com x-api-key " + kept},
                       {"claudeAiOauth.accessToken", "it is of a sign-in t"},
                       {"mcpServers.x.headers.Authorization",
                        "https://x.example.com authorization \"Bearer ${}\""},
                   }));
}

TEST(ClaudeSettings, WhatIsNoVariableIsLeftToItsShape) {
  const std::string key = "\"sk-ant-api03-0123456789abcdefgh\"";
  const Judged by_shape = {{"", "it is part of a comm"}};
  EXPECT_EQ(judged(read_claude_settings, R"({"env": [)" + key + "]}"), by_shape);
  EXPECT_EQ(judged(read_claude_settings, R"({"env": {"A\"KEY": )" + key + "}}"), by_shape);
  EXPECT_EQ(judged(read_claude_settings, R"({"env": {"": )" + key + "}}"), by_shape);
}

TEST(ClaudeSettings, AKeyOfAGatewayGoesThere) {
  const auto of = [](const std::string& url) {
    return judged(read_claude_settings, R"({"env": {"ANTHROPIC_AUTH_TOKEN": "abcdefgh12",
                                                    "ANTHROPIC_BASE_URL": ")"
                                            + url + "\"}}")["env.ANTHROPIC_AUTH_TOKEN"];
  };
  EXPECT_TRUE(of("https://llm.example.com").starts_with("https://llm.example.com authorization "));
  EXPECT_EQ(of("http://127.0.0.1:4000"), "it is for a server o");
  EXPECT_EQ(of("llm"), "the ANTHROPIC_BASE_U");
  // Without an address it is a sign-in's.
  EXPECT_EQ(judged(read_claude_settings, R"({"env": {"ANTHROPIC_AUTH_TOKEN": "abcdefgh12"}})"),
            (Judged{{"env.ANTHROPIC_AUTH_TOKEN", "it is of a sign-in t"}}));
}

TEST(CodexFiles, TheKeyIsTakenFromTheEnvironmentAndSignInsStay) {
  const std::string text = R"({"OPENAI_API_KEY": "sk-proj-0123456789abcdefghijkl",
                               "tokens": {"id_token": "abcdefgh12", "refresh_token": "bcdefgh123"},
                               "last_refresh": null})";
  EXPECT_EQ(judged(read_codex_auth, text),
            (Judged{{"OPENAI_API_KEY", R"(https://api.openai.com authorization )"
                                       R"("GATEHOUSE_KEEPS_": "in its vault")"},
                    {"tokens.id_token", "it is of a sign-in t"},
                    {"tokens.refresh_token", "it is of a sign-in t"}}));
  EXPECT_EQ(read(read_codex_auth, text)[0].variable, "CODEX_API_KEY");
  EXPECT_EQ(judged(read_codex_config,
                   "[model_providers.x]\nenv_key = \"OPENAI_API_KEY\"\n"
                   "experimental_bearer_token = \""
                       + kOpenai + "\"\n"),
            (Judged{{"", "Codex's settings nam"}}));
}

TEST(DotenvKeys, AreKnownByNameAndShape) {
  EXPECT_EQ(judged(read_dotenv, "OPENAI_API_KEY=sk-or-0123456789abcdefgh\nA='" + kAnthropic
                                    + "'\nX_SECRET=abcdefgh12\nAWS_SECRET_ACCESS_KEY=abcdefgh12\n"
                                      "URL=https://a.example.com/abcdefgh\nEMPTY_TOKEN=\n"),
            (Judged{{"OPENAI_API_KEY", "https://openrouter.ai authorization ${}"},
                    {"A", "https://api.anthropic.com x-api-key ${}"},
                    {"X_SECRET", "it is not known wher"},
                    {"AWS_SECRET_ACCESS_KEY", "requests are signed "}}));
}

TEST(Masked, ShowsFourCharactersOfALongKeyAndNoneOfAShortOne) {
  EXPECT_EQ(masked("sk-proj-0123456789abcdefghijkl"), "...ijkl (30 characters)");
  EXPECT_EQ(masked("short-password-12"), "hidden (17 characters)");
}

HouseFacts facts_with(std::vector<ServiceFact> services) {
  HouseFacts facts;
  facts.tenant = "default";
  facts.services = std::move(services);
  return facts;
}
const ServiceFact kOpenaiService{"openai", "https://api.openai.com", "authorization", false};

TEST(Plan, AKeyGoesWhereTheHouseHasAServiceForIt) {
  const auto found = read(read_dotenv, "OPENAI_API_KEY=" + kOpenai + "\nB_TOKEN=" + kAnthropic);
  const Plan plan = plan_of(found, facts_with({kOpenaiService}), {"alice", false, false}, {});
  EXPECT_EQ(plan.decisions[0].outcome, Outcome::kMoved);
  EXPECT_EQ(plan.decisions[0].service, "openai");
  EXPECT_EQ(plan.decisions[1].outcome, Outcome::kNoService);
  ASSERT_EQ(plan.new_services.size(), 1U);
  EXPECT_EQ(plan.new_services[0].service.origin, "https://api.anthropic.com");
  const Plan made = plan_of(found, facts_with({kOpenaiService}), {"alice", true, false}, {});
  EXPECT_EQ(made.decisions[1].outcome, Outcome::kMoved);
  EXPECT_EQ(made.environment, (std::map<std::string, std::string>{{"B_TOKEN", "anthropic"},
                                                                  {"OPENAI_API_KEY", "openai"}}));
}

TEST(Plan, WhatDoesNotFitStays) {
  const auto found = read(read_dotenv, "OPENAI_API_KEY=" + kOpenai);
  const auto why = [&](const HouseFacts& facts, const Wishes& wishes) {
    const Plan plan = plan_of(found, facts, wishes, {});
    EXPECT_EQ(plan.decisions[0].outcome, Outcome::kStays);
    return plan.decisions[0].why;
  };
  const Wishes alice{"alice", false, false};
  EXPECT_TRUE(why(facts_with({kOpenaiService}), {}).contains("--user"));
  EXPECT_TRUE(why(facts_with({{"o", "https://api.openai.com", "x-key", false}}), alice)
                  .contains("header x-key"));
  EXPECT_TRUE(why(facts_with({{"o", "https://api.openai.com", "", false}}), alice)
                  .contains("takes no key"));
  HouseFacts connected = facts_with({kOpenaiService});
  connected.connected.insert({"alice", "openai"});
  EXPECT_TRUE(why(connected, alice).contains("--replace"));
  // What an adoption that stopped has put there is put again.
  const StoredKey before{"default", "alice", "openai", hex_sha256(kOpenai)};
  EXPECT_EQ(plan_of(found, connected, alice, {before}).decisions[0].outcome, Outcome::kMoved);
  const StoredKey other{"default", "alice", "openai", hex_sha256("other")};
  EXPECT_EQ(plan_of(found, connected, alice, {other}).decisions[0].outcome, Outcome::kStays);
}

TEST(Plan, AServiceHoldsOneKeyAndAVariableIsOfOneService) {
  const auto found = read(read_dotenv, "OPENAI_API_KEY=" + kOpenai + "\nSPARE=" + kOpenai
                                           + "x\nC=" + kOpenai + "\nOPENAI_API_KEY=" + kAnthropic);
  const Plan plan = plan_of(found, facts_with({kOpenaiService}), {"alice", true, false}, {});
  EXPECT_EQ(plan.decisions[0].outcome, Outcome::kMoved);
  EXPECT_TRUE(plan.decisions[1].why.contains("holds one key"));
  EXPECT_EQ(plan.decisions[2].outcome, Outcome::kMoved);
  EXPECT_TRUE(plan.decisions[3].why.contains("another service's"));
}

TEST(Plan, TakesTheVariableThatTheAgentHasAlready) {
  const auto found =
      read(read_openclaw_config, "{models:{providers:{openai:{apiKey:'" + kOpenai + "'}}}}");
  HouseFacts facts = facts_with({kOpenaiService});
  facts.environment["MODEL_KEY"] = "{{placeholder:openai}}";
  EXPECT_EQ(plan_of(found, facts, {"alice", false, false}, {}).decisions[0].variable, "MODEL_KEY");
}

TEST(Record, IsReadAsItWasWrittenAndDamageIsTold) {
  Record record{
      "/home/a/.openclaw", "openclaw", "2026-01-01T00:00:00Z", {}, {{"t", "u", "s", "00"}}};
  ChangedFile file;
  file.name = ".env";
  file.before = PrivateText("A=\xff\x01");
  file.after_sha256 = "11";
  file.edits.push_back({PrivateText("'x'"), "${A}", 1, 2});
  record.files.push_back(std::move(file));
  const PrivateText text = text_of(record);
  const auto again = parse_record(text.view());
  ASSERT_TRUE(again);
  EXPECT_EQ(text_of(*again).view(), text.view());
  EXPECT_FALSE(text.view().contains("'x'"));
  EXPECT_EQ(parse_record(text.view().substr(0, text.view().size() / 2)).error(), Error::kCorrupt);
  EXPECT_EQ(parse_record("{}").error(), Error::kCorrupt);
  EXPECT_EQ(parse_record(R"({"version":2})").error(), Error::kUnsupported);
  EXPECT_EQ(parse_record(R"({"version":0})").error(), Error::kCorrupt);
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder with keys in two files, and a vault and a place for records that outlive every stop.
struct World {
  World() {
    std::string name = std::filesystem::temp_directory_path() / "gatehouse-adopt.XXXXXX";
    path = mkdtemp(name.data());
    setenv("XDG_STATE_HOME", (path / "state").c_str(), 1);
    std::filesystem::create_directory(path / "agent");
    std::ofstream(path / "agent/openclaw.json") << kSettings;
    std::ofstream(path / "agent/.env") << kEnv;
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    unsetenv("XDG_STATE_HOME");
    std::filesystem::remove_all(path);
  }
  [[nodiscard]] Folder folder() const { return std::move(*Folder::open(path / "agent")); }

  static inline const std::string kSettings =
      "{models:{providers:{openai:{apiKey:'" + kOpenai + "'}}}}";
  static inline const std::string kEnv = "A_KEY=" + kAnthropic + "\nB_KEY=" + kOpenai + "\n";
  std::filesystem::path path;
  std::map<std::string, std::string> vault;  // by service
};

struct Stop {};

// The real steps, on real files, with a stop (as by a kill) before or after one of them.
class StoppedSteps : public Steps {
 public:
  StoppedSteps(World& world, const Folder& folder, std::string file, int stop_at)
      : world_(world), folder_(folder), file_(std::move(file)), stop_at_(stop_at) {}
  Result<void> remember(const Record& record) override {
    return around([&] { return store_record(file_, record); });
  }
  Result<void> store(const KeyToStore& key) override {
    return around([&]() -> Result<void> {
      world_.vault[key.where.service] = key.value->open(Purpose::kCompare);
      return {};
    });
  }
  Result<void> change(const FileToChange& file) override {
    return around(
        [&] { return folder_.replace(file.name, file.before->view(), file.after.view()); });
  }

 private:
  template <class Act>
  Result<void> around(Act act) {
    if (stop_at_-- == 0) throw Stop();
    TRY(act());
    if (stop_at_-- == 0) throw Stop();
    return {};
  }
  World& world_;
  const Folder& folder_;
  std::string file_;
  int stop_at_;
};

// One `adopt`, to its end or to its stop; whether it came to its end.
bool adopted(World& world, int stop_at) {
  const Folder folder = world.folder();
  std::vector<SourceFile> files;
  std::vector<Finding> found;
  for (const auto& [name, reader] :
       {std::pair<const char*, Reader>{"openclaw.json", read_openclaw_config},
        {".env", read_dotenv}}) {
    files.push_back({name, std::move(**folder.read(name))});
    EXPECT_TRUE(reader(files.back(), found));
  }
  std::vector<StoredKey> before;
  for (const std::string& file : *record_files(folder.path())) {
    for (StoredKey& key : load_record(file)->keys) before.push_back(key);
  }
  HouseFacts facts =
      facts_with({kOpenaiService, {"anthropic", "https://api.anthropic.com", "x-api-key", false}});
  for (const auto& [service, value] : world.vault) facts.connected.insert({"alice", service});
  const Plan plan = plan_of(found, facts, {"alice", false, false}, before);
  const Adoption adoption = adoption_of(files, found, plan, "default");
  if (adoption.files.empty()) return true;
  StoppedSteps steps(world, folder, *next_record_file(folder.path()), stop_at);
  try {
    EXPECT_TRUE(carry_out(adoption, steps));
  } catch (const Stop&) {
    return false;
  }
  return true;
}

void undo(const World& world) {
  const Folder folder = world.folder();
  std::vector<std::string> records = *record_files(folder.path());
  for (auto file = records.rbegin(); file != records.rend(); ++file) {
    const Record record = *load_record(*file);
    for (const ChangedFile& change : record.files) {
      const PrivateText now = std::move(**folder.read(change.name));
      if (now.view() == change.before.view()) continue;
      ASSERT_TRUE(folder.replace(change.name, now.view(), undone(change, now.view())->view()));
    }
    ASSERT_TRUE(remove_record(*file));
  }
}

TEST(Adoption, AStopAtAnyPointLosesNoKeyAndTheNextOneGoesOn) {
  int stops = 0;
  for (int stop_at = 0;; ++stop_at) {
    World world;
    const bool is_done = adopted(world, stop_at);
    const std::map<std::string, std::string> keys = {{"openai", kOpenai},
                                                     {"anthropic", kAnthropic}};
    const std::string all = content(world.path / "agent/openclaw.json");
    const std::string env = content(world.path / "agent/.env");
    for (const auto& [service, key] : keys) {
      const bool lies_there = env.contains(key) && (service != "openai" || all.contains(key));
      EXPECT_TRUE(lies_there || world.vault[service] == key) << service << " at " << stop_at;
      if (world.vault[service].empty()) world.vault.erase(service);
    }
    EXPECT_TRUE(adopted(world, -1)) << stop_at;
    for (const std::string& key : {kOpenai, kAnthropic}) {
      EXPECT_FALSE(content(world.path / "agent/openclaw.json").contains(key)) << stop_at;
      EXPECT_FALSE(content(world.path / "agent/.env").contains(key)) << stop_at;
    }
    EXPECT_EQ(world.vault, keys) << stop_at;
    undo(world);
    EXPECT_EQ(content(world.path / "agent/openclaw.json"), World::kSettings) << stop_at;
    EXPECT_EQ(content(world.path / "agent/.env"), World::kEnv) << stop_at;
    if (is_done) break;
    ++stops;
  }
  EXPECT_EQ(stops, 2 * (1 + 2 + 2));  // a record, two keys, two files
}

TEST(Folder, ReplacesOnlyWhatItHasRead) {
  World world;
  const Folder folder = world.folder();
  chmod((world.path / "agent/.env").c_str(), 0640);
  EXPECT_EQ(folder.replace(".env", "other", "new").error(), Error::kConflict);
  EXPECT_EQ(content(world.path / "agent/.env"), World::kEnv);
  ASSERT_TRUE(folder.replace(".env", World::kEnv, "new"));
  EXPECT_EQ(content(world.path / "agent/.env"), "new");
  struct stat about{};
  stat((world.path / "agent/.env").c_str(), &about);
  EXPECT_EQ(about.st_mode & 07777, 0640U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(world.path / "agent"), {}), 2);
}

TEST(Folder, FollowsNoLinkAndLeavesItselfNowhere) {
  World world;
  const Folder folder = world.folder();
  std::filesystem::create_symlink("/etc", world.path / "agent/up");
  std::filesystem::create_symlink("/etc/passwd", world.path / "agent/link");
  for (const char* name :
       {"../agent/.env", "up/passwd", "link", ".", "", "a/../.env", "/etc/passwd"}) {
    const auto text = folder.read(name);
    EXPECT_FALSE(text) << name;
  }
  EXPECT_FALSE(*folder.read("not-there"));
}

TEST(Copies, AreFoundAcrossPiecesAndInAnyFile) {
  World world;
  std::filesystem::create_directories(world.path / "agent/a/b");
  std::ofstream(world.path / "agent/a/b/log")
      << std::string(1024 * 1024 - 25, ' ') << kOpenai << std::string(100, ' ')
      << "xoxb-0123456789-abcdefgHIJ";
  const Secret secret(kOpenai);
  std::ofstream(world.path / "agent/a/db")
      << std::string_view("\0x\1", 3) << "ghp_0123456789abcdefghIJ" << std::string_view("\0", 1)
      << "sk-ant-a-name-of-a-thing";
  const Copies copies = copies_of({&secret}, {".env", "openclaw.json"}, world.folder());
  std::vector<std::string> names;
  for (const Copies::Copy& copy : copies.found) names.push_back(copy.file);
  EXPECT_EQ(names, (std::vector<std::string>{".env", "a/b/log", "openclaw.json"}));
  EXPECT_TRUE(copies.is_whole);
  EXPECT_EQ(copies.others, (std::vector<Copies::Other>{{"a/b/log", provider_named("slack")},
                                                       {"a/db", provider_named("github")}}));
}

}  // namespace
}  // namespace gatehouse::cli::adopt
