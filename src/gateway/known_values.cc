// SPDX-License-Identifier: Apache-2.0
#include "gateway/known_values.h"

#include <algorithm>

namespace gatehouse::gateway {

Result<std::shared_ptr<const wire::RedactionForms>> KnownValues::forms_of(
    std::string_view host, std::vector<Secret> values) {
  const auto of_forms = [](const std::shared_ptr<const Known>& known) {
    return std::shared_ptr<const wire::RedactionForms>(known, &known->forms);
  };
  if (const auto found = by_host_.find(host); found != by_host_.end()) {
    const std::shared_ptr<const Known> known = found->second.lock();
    if (known && std::ranges::equal(known->values, values)) return of_forms(known);
  }
  std::erase_if(by_host_, [](const auto& item) { return item.second.expired(); });
  auto known = std::make_shared<Known>();
  for (const Secret& value : values) {
    if (value.size() >= wire::kMinRedactable) TRY(known->forms.add(value));
  }
  known->values = std::move(values);
  by_host_.insert_or_assign(std::string(host), known);
  return of_forms(known);
}

}  // namespace gatehouse::gateway
