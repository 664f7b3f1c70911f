// SPDX-License-Identifier: Apache-2.0
// What a hostile authorization server answers, and what a damaged disk gives: refused or read,
// never a crash.
#include "vault/oauth.h"
#include "vault/store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0) {
    (void)vault::parse_token_answer(data[0] % 2 == 0 ? 200 : 400, Secret(bytes.substr(1)), 1'000);
    (void)vault::parse_tokens(Secret(bytes));
  }
  (void)vault::parse_record_file(bytes);
  return 0;
}
