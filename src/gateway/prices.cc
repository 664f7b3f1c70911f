// SPDX-License-Identifier: Apache-2.0
#include "gateway/prices.h"

#include <algorithm>
#include <initializer_list>
#include <tuple>

#include "wire/path.h"

namespace gatehouse::gateway {
namespace {

constexpr std::uint64_t kNone = ipc::PriceSpec::kNone;
constexpr char kStar = '*';

// Azure sells OpenAI's models at OpenAI's prices.
bool fits_kind(const ipc::PriceSpec& price, ipc::ServiceKind kind) {
  if (price.any_kind || price.kind == kind) return true;
  return price.kind == ipc::ServiceKind::kOpenAi && kind == ipc::ServiceKind::kAzureOpenAi;
}

struct Part {
  std::int64_t tokens;
  std::uint64_t price;  // micro-dollars for a million
};

std::uint64_t said_or(std::uint64_t price, std::uint64_t otherwise) {
  return price == kNone ? otherwise : price;
}

// Nothing when a part that was used has no price. Usage is a provider's word: it may say anything.
std::optional<std::int64_t> sum_of(std::initializer_list<Part> parts) {
  constexpr std::int64_t kMillion = 1'000'000;
  __int128 sum = 0;
  for (const Part& part : parts) {
    if (part.tokens <= 0) continue;
    if (part.price == kNone) return std::nullopt;
    sum += static_cast<__int128>(part.tokens) * static_cast<__int128>(part.price);
  }
  const __int128 micro = (sum + kMillion - 1) / kMillion;
  return micro > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(micro);
}

}  // namespace

Prices::Prices(const std::vector<ipc::PriceSpec>& prices) {
  for (const ipc::PriceSpec& price : prices) {
    by_first_[price.model.empty() ? kStar : price.model.front()].push_back(&price);
  }
}

const ipc::PriceSpec* Prices::price(const ipc::ServiceSpec& service, std::string_view model,
                                    const wire::Usage& usage) const {
  const auto rank = [](const ipc::PriceSpec& price) {
    return std::tuple(price.is_operators, !price.service.empty(), !price.model.contains('*'),
                      price.model.size(), price.above_input);
  };
  const auto fits = [&](const ipc::PriceSpec& price) {
    return (price.service.empty() || price.service == service.name)
           && fits_kind(price, service.kind)
           && (price.above_input == 0 || usage.input > static_cast<std::int64_t>(price.above_input))
           && wire::text_matches(price.model, model);
  };
  const ipc::PriceSpec* best = nullptr;
  const auto look = [&](char first) {
    const auto found = by_first_.find(first);
    if (found == by_first_.end()) return;
    for (const ipc::PriceSpec* price : found->second) {
      if (fits(*price) && (best == nullptr || rank(*price) > rank(*best))) best = price;
    }
  };
  look(kStar);
  if (!model.empty() && model.front() != kStar) look(model.front());
  return best;
}

std::optional<Cost> Prices::cost(const ipc::ServiceSpec& service, std::string_view answered_by,
                                 std::string_view asked_for, const wire::Usage& usage) const {
  const ipc::PriceSpec* found = answered_by.empty() ? nullptr : price(service, answered_by, usage);
  if (found == nullptr && asked_for != answered_by) found = price(service, asked_for, usage);
  if (found == nullptr) return std::nullopt;
  const std::int64_t written = usage.cache_write_5m + usage.cache_write_1h;
  const auto sum = sum_of({
      {usage.input - usage.cache_read - written - usage.input_audio, found->input},
      {usage.cache_read, said_or(found->cache_read, found->input)},
      {usage.cache_write_5m, said_or(found->cache_write_5m, found->input)},
      {usage.cache_write_1h, found->cache_write_1h},
      {usage.input_audio, said_or(found->input_audio, found->input)},
      {usage.output - usage.output_audio, found->output},
      {usage.output_audio, said_or(found->output_audio, found->output)},
  });
  if (!sum) return std::nullopt;
  return Cost{*sum, found->origin};
}

}  // namespace gatehouse::gateway
