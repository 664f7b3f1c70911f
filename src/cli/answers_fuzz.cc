// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a server or an issuer answers: refused or read, within bounds, and what is
// stored of it reads back as the same.
#include "cli/answers.h"

#include "base/check.h"
#include "cli/adopt/house.h"
#include "cli/issuer.h"

using namespace gatehouse;

namespace {

void check_house(int status, std::string_view body) {
  CHECK(!cli::parse_problem(status, body).message().empty());
  if (const auto page = cli::parse_list_page(body)) {
    for (const std::string& item : page->items) CHECK(body.contains(item));
  }
  (void)cli::parse_name(body);
  (void)cli::adopt::parse_service(body);
  (void)cli::adopt::parse_environment(body);
  (void)cli::adopt::parse_ruled_service(body);
  (void)cli::parse_runs(body);
  if (const auto run = cli::parse_attached_run(body)) {
    CHECK(!run->token.empty() && run->life_s > 0 && run->life_s <= cli::kTokenLifeMost_s);
  }
  (void)cli::parse_not_enforced(body);
  (void)cli::parse_stopped(body);
  (void)cli::parse_logins(body);
  (void)cli::parse_who_am_i(body);
  if (const auto session = cli::parse_session(body)) {
    const auto stored = cli::parse_sessions(cli::sessions_text({{"https://h.example", *session}}));
    CHECK(stored && stored->sessions.at("https://h.example").session == session->session);
  }
}

void check_issuer(int status, std::string_view body) {
  (void)cli::parse_endpoints("https://i.example", status, body);
  if (const auto token = cli::parse_issuer_token(status, body)) {
    CHECK(token->id_token.empty() == !token->error.empty());
  }
  if (const auto code = cli::parse_device_code(status, body)) {
    CHECK(code->interval_s >= 1 && code->interval_s <= cli::kDevicePauseMost_s);
    CHECK(code->expires_s >= 1 && code->expires_s <= cli::kDeviceMost_s);
    CHECK(!code->device_code.empty() && !code->user_code.empty());
  }
}

}  // namespace

// The first byte is the status: 200 for an even one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const int status = data[0] % 2 == 0 ? 200 : 400;
  check_house(status, body);
  check_issuer(status, body);
  return 0;
}
