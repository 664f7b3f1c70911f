// SPDX-License-Identifier: Apache-2.0
// The fields of one HTTP message, in order, as offsets into one string: a message of any number of
// fields costs two allocations. Names compare without case (RFC 9110 section 5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/characters.h"

namespace gatehouse::wire {

// A field name that is known to be a token. A view: it must not outlive the text it was made of.
class HeaderName {
 public:
  // Of a literal; what is not a token does not compile.
  template <std::size_t N>
  consteval HeaderName(const char (&literal)[N])  // NOLINT(google-explicit-constructor)
      : text_(literal, N - 1) {
    if (N <= 1 || !all_are(kTokenChar, text_)) throw "not a token";
  }
  // Errors: kInvalid.
  [[nodiscard]] static Result<HeaderName> parse(std::string_view text);

  [[nodiscard]] std::string_view text() const { return text_; }

 private:
  struct Parsed {};
  HeaderName(Parsed, std::string_view text) : text_(text) {}
  std::string_view text_;
};

struct Header {
  std::string_view name;
  std::string_view value;
};

// Views that it gives are valid until the next change of the same object. Values are not checked
// here: the writers refuse those that would break a message.
class Headers {
 public:
  class Iterator {
   public:
    Iterator(const Headers* owner, std::size_t at) : owner_(owner), at_(at) {}
    Header operator*() const { return (*owner_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const Headers* owner_;
    std::size_t at_;
  };

  [[nodiscard]] std::size_t size() const { return fields_.size(); }
  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] Header operator[](std::size_t at) const;
  [[nodiscard]] Iterator begin() const { return {this, 0}; }
  [[nodiscard]] Iterator end() const { return {this, fields_.size()}; }

  // The first value of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // Whether a comma-separated list field (all its lines) holds `token`, without case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  void add(HeaderName name, std::string_view value);
  // Replaces all fields of that name by one, at the place of the first.
  void set(HeaderName name, std::string_view value);
  // How many were removed.
  std::size_t remove(std::string_view name);
  void clear();

 private:
  friend class FieldLines;  // fills the arena with a message's own bytes and indexes them
  struct Field {
    std::uint32_t name_at = 0;
    std::uint32_t name_size = 0;
    std::uint32_t value_at = 0;
    std::uint32_t value_size = 0;
  };
  [[nodiscard]] Field stored(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view name_of(const Field& field) const {
    return std::string_view(arena_).substr(field.name_at, field.name_size);
  }

  std::string arena_;
  std::vector<Field> fields_;
};

// Removes what concerns one connection only (RFC 9110 section 7.6.1): the fields that Connection
// names, and Connection, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, TE,
// Trailer, Transfer-Encoding, Upgrade. Host and Content-Length stay even if Connection names them.
void remove_hop_by_hop(Headers& headers);

}  // namespace gatehouse::wire
