// SPDX-License-Identifier: Apache-2.0
// Any bytes as what the admin API takes: a target, and a spec of each kind. What is accepted is
// shown as what reads as the same object.
#include "base/check.h"
#include "control/api.h"
#include "control/decoding.h"
#include "control/present.h"

using namespace gatehouse;
using namespace gatehouse::control;

namespace {

Result<std::string> as_it_is(const std::string& pem) { return pem; }

// Of an object with a name of its own.
std::expected<Object, Problems> decoded(Kind kind, Yaml spec, const State& state) {
  NewObject given{kind, "acme", "claw", std::move(spec)};
  if (kind != Kind::kBinding) {
    Yaml key;
    key.type = Yaml::Type::kScalar;
    key.text = kind == Kind::kRule ? "id" : "name";
    Yaml value = key;
    value.text = kind == Kind::kTenant ? "acme" : "x";
    given.node.members.push_back({key, value});
  }
  return decode_object(given, state, as_it_is);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = parse_target(text)) CHECK(target->path.starts_with('/'));
  static_cast<void>(json_of_yaml(text));
  const auto tree = tree_of_json(text);
  if (!tree) return 0;
  State state;
  state.objects = {
      {Tenant{"acme", ""}, Source::kApi, 1},
      {User{"acme", "ada", {}}, Source::kApi, 2},
      {Issuer{"acme", "corp", "https://login.example", "", {}, "", "", false}, Source::kApi, 3}};
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto kind = static_cast<Kind>(i);
    const auto object = decoded(kind, *tree, state);
    if (!object) {
      CHECK(!object.error().empty());
      continue;
    }
    const auto again = tree_of_json(spec_of(*object));
    CHECK(again);
    const auto back = decoded(kind, *again, state);
    CHECK(back && definition_of(*back) == definition_of(*object));
  }
  return 0;
}
