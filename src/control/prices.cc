// SPDX-License-Identifier: Apache-2.0
#include "control/prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/encoding.h"
#include "control/values.h"
#include "wire/characters.h"

namespace gatehouse::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kPricesMost = 4096;
constexpr double kDollarsMost = 100'000;
constexpr std::uint64_t kAboveMost = 1'000'000'000;

struct Part {
  std::string_view key;
  std::uint64_t ipc::PriceSpec::* value;
};
constexpr std::array kParts = {
    Part{"input", &ipc::PriceSpec::input},
    Part{"cache_read", &ipc::PriceSpec::cache_read},
    Part{"cache_write_5m", &ipc::PriceSpec::cache_write_5m},
    Part{"cache_write_1h", &ipc::PriceSpec::cache_write_1h},
    Part{"output", &ipc::PriceSpec::output},
    Part{"input_audio", &ipc::PriceSpec::input_audio},
    Part{"output_audio", &ipc::PriceSpec::output_audio},
};

std::uint64_t micro(double dollars) {
  return static_cast<std::uint64_t>(std::llround(dollars * 1e6));
}

ipc::ServiceKind kind_named(std::string_view name) {
  const auto* const at = std::ranges::find(ipc::kServiceKindNames, name);
  CHECK(at != ipc::kServiceKindNames.end());
  return static_cast<ipc::ServiceKind>(at - ipc::kServiceKindNames.begin());
}

std::vector<ipc::PriceSpec> read_list() {
  const json::value document = json::parse(price_list());
  std::vector<ipc::PriceSpec> out;
  for (const json::value& item : document.at("prices").as_array()) {
    const json::object& row = item.as_object();
    ipc::PriceSpec price;
    price.origin = std::string(document.at("as_of").as_string());
    price.any_kind = false;
    price.kind = kind_named(std::string_view(row.at("provider").as_string()));
    if (const auto* above = row.if_contains("above_input")) {
      price.above_input = above->to_number<std::uint64_t>();
    }
    for (const Part& part : kParts) {
      const auto* said = row.if_contains(part.key);
      if (said != nullptr) price.*part.value = micro(said->to_number<double>());
    }
    for (const json::value& model : row.at("models").as_array()) {
      price.model = std::string(model.as_string());
      out.push_back(price);
    }
  }
  return out;
}

void decode_part(Section& section, const Part& part, Need need, ipc::PriceSpec& price) {
  const Yaml* node = section.value(part.key, need);
  if (node == nullptr) return;
  double dollars = 0;
  const char* const end = node->text.data() + node->text.size();
  const auto [at, fault] =
      std::from_chars(node->text.data(), end, dollars, std::chars_format::fixed);
  const bool is_number =
      node->type == Yaml::Type::kScalar && !node->quoted && fault == std::errc{} && at == end;
  if (!is_number || !(dollars >= 0 && dollars <= kDollarsMost)) {
    section.problem(part.key,
                    fmt::format("{} must be US dollars for a million tokens, as 1.25", part.key));
    return;
  }
  price.*part.value = micro(dollars);
}

ipc::PriceSpec decode_price(const Yaml& node, Problems& problems) {
  Section section(node, "a price", problems);
  ipc::PriceSpec price;
  price.origin = "config";
  price.is_operators = true;
  price.model = section.string("model", Need::kRequired).value_or("x");
  if (price.model.empty() || !is_plain(price.model) || price.model.contains(' ')) {
    section.problem("model", "model must be a model's name, in which * stands for anything");
  }
  price.service = section.string_or("service", "");
  if (section.value("service") != nullptr && !is_name(price.service)) {
    section.problem("service", "service must be the name of a service");
  }
  price.above_input = section.number_or("above_input", 0, kAboveMost);
  for (const Part& part : kParts) {
    decode_part(section, part, part.key == "input" ? Need::kRequired : Need::kOptional, price);
  }
  section.finish();
  return price;
}

}  // namespace

const std::vector<ipc::PriceSpec>& builtin_prices() {
  static const std::vector<ipc::PriceSpec> list = read_list();
  return list;
}

std::vector<ipc::PriceSpec> decode_prices(Section& file, Problems& problems) {
  std::vector<ipc::PriceSpec> out;
  const std::vector<Yaml>& items = file.list("prices");
  if (items.size() > kPricesMost) {
    file.problem("prices", fmt::format("there are at most {} prices", kPricesMost));
    return out;
  }
  for (const Yaml& node : items) out.push_back(decode_price(node, problems));
  return out;
}

}  // namespace gatehouse::control
