// SPDX-License-Identifier: Apache-2.0
// What a call to a model cost, by the Snapshot's prices. Where nobody says what something costs
// there is no cost, which is not the same as none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ipc/snapshot.h"
#include "wire/llm.h"

namespace gatehouse::gateway {

struct Cost {
  std::int64_t micro_usd = 0;  // rounded up
  std::string_view origin;     // of the price: a list's date, or "config"
};

class Prices {
 public:
  // `prices` outlives this.
  explicit Prices(const std::vector<ipc::PriceSpec>& prices);

  // Of that usage, at that Service. The model is the one that answered, else the one that was
  // asked. Of several prices that fit, the operator's go first, then the longest name, then the
  // highest `above_input`. Nothing when no price fits, or the one that does leaves out something
  // that was used.
  [[nodiscard]] std::optional<Cost> cost(const ipc::ServiceSpec& service,
                                         std::string_view answered_by, std::string_view asked_for,
                                         const wire::Usage& usage) const;

 private:
  [[nodiscard]] const ipc::PriceSpec* price(const ipc::ServiceSpec& service, std::string_view model,
                                            const wire::Usage& usage) const;
  // By the first character of the models that they are of, which is most of a match; those that
  // begin with a star are looked at for any model.
  std::unordered_map<char, std::vector<const ipc::PriceSpec*>> by_first_;
};

}  // namespace gatehouse::gateway
