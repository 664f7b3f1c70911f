// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/providers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gatehouse::cli::adopt {
namespace {

constexpr std::string_view kAuthorization = "authorization";
constexpr std::string_view kBearer = "Bearer ";
constexpr std::string_view kInUrl =
    "it is sent in the path of a URL, where the gateway fills nothing in";
constexpr std::string_view kInSocket =
    "it is sent inside a WebSocket, where the gateway fills nothing in";
constexpr std::string_view kSigned =
    "requests are signed with it and it is never sent, so the gateway cannot fill it in";
constexpr std::string_view kOwnDoor = "the agent itself compares it with what callers show";
constexpr std::string_view kSignIn =
    "it is of a sign-in that the agent renews itself; a key of the provider's API can be moved";

constexpr std::array kProviders = {
    Provider{"openai", "https://api.openai.com", "openai", kAuthorization, kBearer,
             "OPENAI_API_KEY", "https://platform.openai.com/api-keys", ""},
    Provider{"anthropic", "https://api.anthropic.com", "anthropic", "x-api-key", "",
             "ANTHROPIC_API_KEY", "https://console.anthropic.com/settings/keys", ""},
    Provider{"anthropic-login", "", "", "", "", "ANTHROPIC_OAUTH_TOKEN",
             "https://claude.ai/settings", kSignIn},
    Provider{"google", "https://generativelanguage.googleapis.com", "gemini", "x-goog-api-key", "",
             "GEMINI_API_KEY", "https://aistudio.google.com/apikey", ""},
    Provider{"openrouter", "https://openrouter.ai", "http", kAuthorization, kBearer,
             "OPENROUTER_API_KEY", "https://openrouter.ai/settings/keys", ""},
    Provider{"groq", "https://api.groq.com", "http", kAuthorization, kBearer, "GROQ_API_KEY",
             "https://console.groq.com/keys", ""},
    Provider{"mistral", "https://api.mistral.ai", "http", kAuthorization, kBearer,
             "MISTRAL_API_KEY", "https://console.mistral.ai/api-keys", ""},
    Provider{"xai", "https://api.x.ai", "http", kAuthorization, kBearer, "XAI_API_KEY",
             "https://console.x.ai", ""},
    Provider{"deepseek", "https://api.deepseek.com", "http", kAuthorization, kBearer,
             "DEEPSEEK_API_KEY", "https://platform.deepseek.com/api_keys", ""},
    Provider{"cerebras", "https://api.cerebras.ai", "http", kAuthorization, kBearer,
             "CEREBRAS_API_KEY", "https://cloud.cerebras.ai", ""},
    Provider{"together", "https://api.together.xyz", "http", kAuthorization, kBearer,
             "TOGETHER_API_KEY", "https://api.together.ai/settings/api-keys", ""},
    Provider{"perplexity", "https://api.perplexity.ai", "http", kAuthorization, kBearer,
             "PERPLEXITY_API_KEY", "https://www.perplexity.ai/settings/api", ""},
    Provider{"brave", "https://api.search.brave.com", "http", "x-subscription-token", "",
             "BRAVE_API_KEY", "https://api-dashboard.search.brave.com/app/keys", ""},
    Provider{"tavily", "https://api.tavily.com", "http", kAuthorization, kBearer, "TAVILY_API_KEY",
             "https://app.tavily.com", ""},
    Provider{"exa", "https://api.exa.ai", "http", "x-api-key", "", "EXA_API_KEY",
             "https://dashboard.exa.ai/api-keys", ""},
    Provider{"firecrawl", "https://api.firecrawl.dev", "http", kAuthorization, kBearer,
             "FIRECRAWL_API_KEY", "https://www.firecrawl.dev/app/api-keys", ""},
    Provider{"elevenlabs", "https://api.elevenlabs.io", "http", "xi-api-key", "",
             "ELEVENLABS_API_KEY", "https://elevenlabs.io/app/settings/api-keys", ""},
    Provider{"github", "https://api.github.com", "http", kAuthorization, kBearer, "GITHUB_TOKEN",
             "https://github.com/settings/tokens", ""},
    Provider{"notion", "https://api.notion.com", "http", kAuthorization, kBearer, "NOTION_API_KEY",
             "https://www.notion.so/my-integrations", ""},
    Provider{"linear", "https://api.linear.app", "http", kAuthorization, "", "LINEAR_API_KEY",
             "https://linear.app/settings/account/security", ""},
    Provider{"telegram", "", "", "", "", "TELEGRAM_BOT_TOKEN", "https://t.me/BotFather", kInUrl},
    Provider{"discord", "", "", "", "", "DISCORD_BOT_TOKEN",
             "https://discord.com/developers/applications", kInSocket},
    Provider{"slack", "", "", "", "", "SLACK_BOT_TOKEN", "https://api.slack.com/apps", kInSocket},
    Provider{"aws", "", "", "", "", "AWS_SECRET_ACCESS_KEY",
             "https://console.aws.amazon.com/iam/home#/security_credentials", kSigned},
    Provider{"openclaw", "", "", "", "", "OPENCLAW_GATEWAY_TOKEN", "", kOwnDoor},
};

struct Word {
  std::string_view word;
  std::string_view provider;
};

// Beside each provider's own.
constexpr std::array kVariables = {
    Word{"GOOGLE_API_KEY", "google"},
    Word{"GH_TOKEN", "github"},
    Word{"BRAVE_SEARCH_API_KEY", "brave"},
    Word{"XI_API_KEY", "elevenlabs"},
    Word{"SLACK_APP_TOKEN", "slack"},
    Word{"DISCORD_TOKEN", "discord"},
    Word{"CODEX_API_KEY", "openai"},
    Word{"AWS_ACCESS_KEY_ID", "aws"},
    Word{"AWS_SESSION_TOKEN", "aws"},
    Word{"ANTHROPIC_AUTH_TOKEN", "anthropic-login"},
    Word{"OPENCLAW_GATEWAY_PASSWORD", "openclaw"},
};
constexpr std::array kOtherNames = {Word{"gemini", "google"}, Word{"x-ai", "xai"}};

// Longer ones first where one begins with another.
constexpr std::array kShapes = {
    Word{"sk-ant-oat", "anthropic-login"},
    Word{"sk-ant-", "anthropic"},
    Word{"sk-or-", "openrouter"},
    Word{"sk-proj-", "openai"},
    Word{"sk-svcacct-", "openai"},
    Word{"AIza", "google"},
    Word{"gsk_", "groq"},
    Word{"xai-", "xai"},
    Word{"csk-", "cerebras"},
    Word{"pplx-", "perplexity"},
    Word{"BSA", "brave"},
    Word{"tvly-", "tavily"},
    Word{"fc-", "firecrawl"},
    Word{"ghp_", "github"},
    Word{"gho_", "github"},
    Word{"ghs_", "github"},
    Word{"github_pat_", "github"},
    Word{"ntn_", "notion"},
    Word{"lin_api_", "linear"},
    Word{"xoxb-", "slack"},
    Word{"xoxp-", "slack"},
    Word{"xapp-", "slack"},
    Word{"AKIA", "aws"},
    Word{"ASIA", "aws"},
};

constexpr std::size_t kKeyLeast = 8;
constexpr std::size_t kKeyMost = 16 * 1024;
constexpr std::size_t kShapeLeast = 20;

bool is_key_character(char c) {
  return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '`' && c != '<'
         && c != '>';
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A bot's number, a colon and 35 characters: 123456789:AA...
bool is_telegram(std::string_view value) {
  const std::size_t colon = value.find(':');
  return colon != std::string_view::npos && colon >= 8 && colon <= 10
         && std::all_of(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(colon), is_digit)
         && value.size() - colon - 1 == 35;
}

// OPENAI_API_KEY: where a key is named instead of given.
bool is_name_of_variable(std::string_view value) {
  return value.contains('_')
         && std::ranges::all_of(value, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
  return out;
}

}  // namespace

std::span<const Provider> providers() { return kProviders; }

const Provider* provider_named(std::string_view name) {
  for (const Word& other : kOtherNames) {
    if (other.word == name) name = other.provider;
  }
  const auto found = std::ranges::find(kProviders, name, &Provider::name);
  return found == kProviders.end() ? nullptr : &*found;
}

const Provider* provider_at(std::string_view origin) {
  const auto found = std::ranges::find(kProviders, origin, &Provider::origin);
  return origin.empty() || found == kProviders.end() ? nullptr : &*found;
}

const Provider* provider_of_variable(std::string_view variable) {
  const auto own = std::ranges::find(kProviders, variable, &Provider::variable);
  if (own != kProviders.end()) return &*own;
  const auto other = std::ranges::find(kVariables, variable, &Word::word);
  return other == kVariables.end() ? nullptr : provider_named(other->provider);
}

const Provider* provider_of_shape(std::string_view value) {
  if (value.size() < kShapeLeast || !may_be_key(value)) return nullptr;
  if (is_telegram(value)) return provider_named("telegram");
  if (value.starts_with("sk-") && value.contains("T3BlbkFJ")) return provider_named("openai");
  for (const Word& shape : kShapes) {
    if (value.starts_with(shape.word)) return provider_named(shape.provider);
  }
  return nullptr;
}

bool is_key_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-'
         || c == ':' || c == '.';
}

bool may_be_key(std::string_view value) {
  return value.size() >= kKeyLeast && value.size() <= kKeyMost && !value.contains("${")
         && !value.starts_with("$") && !value.starts_with("secretref-")
         && !value.starts_with("__OPENCLAW_") && !value.starts_with("file:")
         && !value.contains("://") && !is_name_of_variable(value)
         && std::ranges::all_of(value, is_key_character);
}

bool names_a_secret(std::string_view name) {
  const std::string word = lower(name);
  constexpr std::array<std::string_view, 11> kEnds = {
      "apikey", "api_key",       "api-key", "token",      "secret",    "password",
      "_key",   "access_key_id", "pat",     "passphrase", "credential"};
  return std::ranges::any_of(kEnds, [&](std::string_view end) { return word.ends_with(end); })
         || word == "authorization" || word == "key";
}

std::string masked(std::string_view value) {
  constexpr std::size_t kLong = 24;
  const std::string_view end = value.size() >= kLong ? value.substr(value.size() - 4) : "";
  return fmt::format("{}{} ({} characters)", end.empty() ? "hidden" : "...", end, value.size());
}

}  // namespace gatehouse::cli::adopt
