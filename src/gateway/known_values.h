// SPDX-License-Identifier: Apache-2.0
// What a Run was leased, as its answers are looked through for it. It lives as long as an Exchange
// that was leased it: of Exchanges at the same time the forms are made once, and after the last one
// nothing is kept.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "wire/redact.h"

namespace gatehouse::gateway {

class KnownValues {
 public:
  // The forms of `values`, which were leased towards `host`. Errors: RedactionForms::add's.
  [[nodiscard]] Result<std::shared_ptr<const wire::RedactionForms>> forms_of(
      std::string_view host, std::vector<Secret> values);

 private:
  struct Known {
    std::vector<Secret> values;
    wire::RedactionForms forms;
  };
  std::map<std::string, std::weak_ptr<const Known>, std::less<>> by_host_;
};

}  // namespace gatehouse::gateway
