// SPDX-License-Identifier: Apache-2.0
#include "cli/answers.h"

#include <fmt/format.h>

#include "cli/output.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

std::string text_in(const wire::JsonObject& object, std::string_view key) {
  return object.string(key).value_or("");
}

Result<std::vector<wire::JsonValue>> items_in(const wire::JsonObject& object) {
  const wire::JsonValue* items = object.find("items");
  if (items == nullptr) return failure(Error::kUpstream, "the gatehouse answered without items");
  return wire::scan_array(items->raw);
}

// The strings of a list that may be missing.
Result<std::vector<std::string>> words_in(const wire::JsonObject& object, std::string_view key) {
  std::vector<std::string> words;
  const wire::JsonValue* list = object.find(key);
  if (list == nullptr) return words;
  for (const wire::JsonValue& word : TRY(wire::scan_array(list->raw))) {
    words.push_back(word.string().value_or(""));
  }
  return words;
}

}  // namespace

Error parse_problem(int status, std::string_view body) {
  const auto problem = wire::scan_object(body);
  const std::string type = problem ? text_in(*problem, "type") : "";
  Error::Code code = Error::kUpstream;
  for (int at = Error::kInternal; at <= Error::kTooSlow; ++at) {
    const auto candidate = static_cast<Error::Code>(at);
    if (type == fmt::format("urn:gatehouse:error:{}", row_of(candidate).label)) code = candidate;
  }
  std::string detail = problem ? text_in(*problem, "detail") : "";
  if (detail.empty()) detail = fmt::format("the gatehouse answered with status {}", status);
  return {code, detail};
}

Result<ListPage> parse_list_page(std::string_view body) {
  const wire::JsonObject page = TRY(wire::scan_object(body));
  ListPage read;
  for (const wire::JsonValue& item : TRY(items_in(page))) read.items.emplace_back(item.raw);
  read.next_token = text_in(page, "next_page_token");
  return read;
}

Result<std::string> parse_name(std::string_view item) {
  return text_in(TRY(wire::scan_object(item)), "name");
}

Result<std::vector<RunRow>> parse_runs(std::string_view body) {
  const wire::JsonObject page = TRY(wire::scan_object(body));
  std::vector<RunRow> rows;
  for (const wire::JsonValue& item : TRY(items_in(page))) {
    const wire::JsonObject run = TRY(wire::scan_object(item.raw));
    const wire::JsonValue* status = run.find("exit_status");
    const std::string outcome =
        status == nullptr ? "running"
                          : outcome_of(static_cast<std::int32_t>(status->integer().value_or(0)));
    const wire::JsonValue* attached = run.find("attached");
    const bool is_attached = attached != nullptr && attached->boolean().value_or(false);
    rows.push_back({text_in(run, "run"), text_in(run, "agent"), text_in(run, "user"),
                    text_in(run, "started"), text_in(run, "ended"), outcome,
                    is_attached ? "attached" : "sandbox", text_in(run, "trace_id")});
  }
  return rows;
}

Result<AttachedRun> parse_attached_run(std::string_view body) {
  const wire::JsonObject answer = TRY(wire::scan_object(body));
  AttachedRun run;
  run.run = text_in(answer, "run");
  run.trace = text_in(answer, "trace_id");
  run.ca_pem = text_in(answer, "ca");
  run.environment = TRY(words_in(answer, "environment"));
  std::string token = text_in(answer, "access_token");
  const wire::JsonValue* life = answer.find("expires_in");
  run.life_s = life == nullptr ? 0 : life->integer().value_or(0);
  const wire::JsonValue* place = answer.find("gateway");
  if (token.empty() || run.life_s <= 0 || run.life_s > kTokenLifeMost_s || place == nullptr) {
    return failure(Error::kUpstream, "the gatehouse answered otherwise");
  }
  run.token = Secret(token);
  wipe({token.data(), token.size()});
  const wire::JsonObject gateway = TRY(wire::scan_object(place->raw));
  run.gateway = text_in(gateway, "address");
  run.gateway_certificate_pem = text_in(gateway, "certificate");
  return run;
}

Result<std::vector<std::string>> parse_not_enforced(std::string_view body) {
  const wire::JsonObject page = TRY(wire::scan_object(body));
  std::vector<std::string> lines;
  const wire::JsonValue* missing = page.find("not_enforced");
  if (missing == nullptr) return lines;
  for (const wire::JsonValue& item : TRY(wire::scan_array(missing->raw))) {
    lines.push_back(item.string().value_or(""));
  }
  return lines;
}

Result<Stopped> parse_stopped(std::string_view body) {
  const wire::JsonObject answer = TRY(wire::scan_object(body));
  const auto count = [&](const char* key) {
    const wire::JsonValue* value = answer.find(key);
    return value == nullptr ? std::nullopt : value->integer();
  };
  const auto sandboxes = count("sandboxes");
  const auto ended = count("ended").value_or(0);  // an earlier house does not say
  if (!sandboxes || *sandboxes < 0 || ended < 0) {
    return failure(Error::kUpstream, "the gatehouse answered otherwise");
  }
  return Stopped{static_cast<std::uint64_t>(*sandboxes), static_cast<std::uint64_t>(ended)};
}

Result<Logins> parse_logins(std::string_view body) {
  const wire::JsonObject answer = TRY(wire::scan_object(body));
  Logins logins{text_in(answer, "tenant"), {}};
  for (const wire::JsonValue& item : TRY(items_in(answer))) {
    const wire::JsonObject issuer = TRY(wire::scan_object(item.raw));
    logins.issuers.push_back({text_in(issuer, "name"),
                              {text_in(issuer, "url"), text_in(issuer, "client_id"),
                               TRY(words_in(issuer, "scopes")), text_in(issuer, "ca")}});
  }
  return logins;
}

Result<StoredSession> parse_session(std::string_view body) {
  const wire::JsonObject answer = TRY(wire::scan_object(body));
  return StoredSession{text_in(answer, "session"), text_in(answer, "tenant"),
                       text_in(answer, "who"), text_in(answer, "ends")};
}

Result<WhoAmI> parse_who_am_i(std::string_view body) {
  const wire::JsonObject me = TRY(wire::scan_object(body));
  const wire::JsonValue* house = me.find("house");
  return WhoAmI{me.string("who").value_or("?"), house != nullptr && house->raw == "true",
                TRY(words_in(me, "roles"))};
}

}  // namespace gatehouse::cli
