// SPDX-License-Identifier: Apache-2.0
// JSON texts that say again what others said: what was found valid is not looked into again.
#pragma once

#include <string_view>
#include <vector>

#include "wire/json.h"

namespace gatehouse::wire {

// Objects of a text that a scan of another one found valid, byte for byte, as elements of an array
// that is a member of the whole: how a conversation that grows is read. A scan that comes to one
// where a value is due goes on behind it; one that stands anywhere else is nothing to it.
class KnownJson {
 public:
  // From '{' to '}', a view of the text that will be scanned; in the order of the text.
  void add(std::string_view object) { objects_.push_back(object); }
  [[nodiscard]] bool holds(const JsonValue& value) const;
  [[nodiscard]] const std::vector<std::string_view>& objects() const { return objects_; }

 private:
  std::vector<std::string_view> objects_;
};

// As of json.h, of a text of which some is known.
[[nodiscard]] Result<JsonObject> scan_object(std::string_view text, const KnownJson& known);
[[nodiscard]] Result<std::vector<JsonValue>> scan_array(std::string_view text,
                                                        const KnownJson& known);

}  // namespace gatehouse::wire
