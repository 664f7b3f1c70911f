// SPDX-License-Identifier: Apache-2.0
// What is known of those whose keys lie in agents' configurations: by which variable and by which
// shape a key of theirs is told, where it is used and how, and where it is replaced by a new one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gatehouse::cli::adopt {

struct Provider {
  std::string_view name;      // as configurations call it; a service's name is made of it
  std::string_view origin;    // where its keys are used; "" where no gate can fill them in
  std::string_view kind;      // of the service: a model provider's, or http
  std::string_view header;    // which carries the key, in lower case
  std::string_view prefix;    // before the key
  std::string_view variable;  // the usual name in the environment
  std::string_view rotate_at;
  std::string_view left_because;  // of a key that has to stay where it is
};

[[nodiscard]] std::span<const Provider> providers();
// Null where there is none.
[[nodiscard]] const Provider* provider_named(std::string_view name);
[[nodiscard]] const Provider* provider_at(std::string_view origin);
// By the name of an environment variable.
[[nodiscard]] const Provider* provider_of_variable(std::string_view variable);
// By a prefix that nobody else's keys have.
[[nodiscard]] const Provider* provider_of_shape(std::string_view value);

// Whether a value may be a key at all: long enough, of the characters that keys have, no reference
// to a variable and no marker of a secret that lies elsewhere.
[[nodiscard]] bool may_be_key(std::string_view value);
// Whether a character may be of a key that is told by its shape, inside of other text.
[[nodiscard]] bool is_key_word(char c);
// Whether a member or variable of this name holds a secret, by what it is called.
[[nodiscard]] bool names_a_secret(std::string_view name);
// What is shown of a key: its length, and of a long one its last four characters.
[[nodiscard]] std::string masked(std::string_view value);

}  // namespace gatehouse::cli::adopt
