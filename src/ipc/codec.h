// SPDX-License-Identifier: Apache-2.0
// How a message becomes bytes: fields in order, integers little-endian, strings and lists with a
// u32 count before them. A message lists its fields once, in `template <class F> void fields(F& f)
// { f(a, b, c); }`, for both ways. Decoding checks every length against what is left, and that
// nothing is left over.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::ipc {

class Encoder {
 public:
  Encoder() { out_.reserve(kUsual); }
  template <class... Fields>
  void operator()(Fields&... values) {
    (put(values), ...);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  template <class T>
  void put(T& value) {
    if constexpr (std::is_enum_v<T>) {
      auto raw = static_cast<std::underlying_type_t<T>>(value);
      put(raw);
    } else if constexpr (std::is_integral_v<T>) {
      put_integer(value);
    } else if constexpr (requires { value.fields(*this); }) {
      value.fields(*this);
    } else {
      put_other(value);
    }
  }
  template <class T>
  void put_integer(T value) {
    if constexpr (std::same_as<T, bool>) {
      out_ += value ? '\1' : '\0';
    } else {
      const auto raw = static_cast<std::make_unsigned_t<T>>(value);
      for (std::size_t i = 0; i < sizeof raw; ++i) out_ += static_cast<char>(raw >> (8 * i));
    }
  }
  void put_other(std::string& value) {
    put_integer(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void put_other(Secret& value) {
    put_integer(static_cast<std::uint32_t>(value.size()));
    out_ += value.open(Purpose::kTransport);
  }
  template <class Tag>
  void put_other(Id<Tag>& id) {
    out_.append(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
  }
  void put_other(TraceId& id) {
    out_.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  }
  template <class T>
  void put_other(std::vector<T>& list) {
    put_integer(static_cast<std::uint32_t>(list.size()));
    for (T& item : list) put(item);
  }
  template <class T>
  void put_other(std::optional<T>& maybe) {
    put_integer(maybe.has_value());
    if (maybe) put(*maybe);
  }

  static constexpr std::size_t kUsual = 480;  // bytes of a message
  std::string out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : left_(bytes) {}
  template <class... Fields>
  void operator()(Fields&... values) {
    (get(values), ...);
  }
  // Whether all fields were there and nothing is left over.
  [[nodiscard]] bool complete() const { return !failed_ && left_.empty(); }

 private:
  template <class T>
  void get(T& value) {
    if (failed_) return;
    if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> raw{};
      get(raw);
      value = static_cast<T>(raw);
    } else if constexpr (std::is_integral_v<T>) {
      get_integer(value);
    } else if constexpr (requires { value.fields(*this); }) {
      value.fields(*this);
    } else {
      get_other(value);
    }
  }
  std::string_view bytes(std::size_t count) {
    if (count > left_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  template <class T>
  void get_integer(T& value) {
    const std::string_view raw = bytes(sizeof(T));
    if (failed_) return;
    if constexpr (std::same_as<T, bool>) {
      if (static_cast<std::uint8_t>(raw[0]) > 1) failed_ = true;
      value = raw[0] == '\1';
    } else {
      std::make_unsigned_t<T> number = 0;
      for (std::size_t i = 0; i < sizeof(T); ++i) {
        number = static_cast<std::make_unsigned_t<T>>(
            number
            | static_cast<std::make_unsigned_t<T>>(static_cast<std::uint8_t>(raw[i])) << (8 * i));
      }
      value = static_cast<T>(number);
    }
  }
  std::uint32_t count() {
    std::uint32_t n = 0;
    get_integer(n);
    if (n > left_.size()) failed_ = true;  // every item takes at least a byte
    return failed_ ? 0 : n;
  }
  void get_other(std::string& value) { value = std::string(bytes(count())); }
  void get_other(Secret& value) { value = Secret(bytes(count())); }
  template <class Tag>
  void get_other(Id<Tag>& id) {
    IdBytes raw{};
    const std::string_view taken = bytes(raw.size());
    if (failed_) return;
    std::memcpy(raw.data(), taken.data(), raw.size());
    id = Id<Tag>::from_bytes(raw);
  }
  void get_other(TraceId& id) {
    const std::string_view taken = bytes(id.bytes.size());
    if (!failed_) std::memcpy(id.bytes.data(), taken.data(), id.bytes.size());
  }
  template <class T>
  void get_other(std::vector<T>& list) {
    const std::uint32_t n = count();
    list.clear();
    for (std::uint32_t i = 0; i < n && !failed_; ++i) {
      T item = blank<T>();
      get(item);
      list.push_back(std::move(item));
    }
  }
  template <class T>
  void get_other(std::optional<T>& maybe) {
    bool present = false;
    get_integer(present);
    maybe.reset();
    if (failed_ || !present) return;
    maybe.emplace(blank<T>());
    get(*maybe);
  }

 public:
  // A message to be filled: Ids have no default.
  template <class T>
  static T blank() {
    if constexpr (requires { T::from_bytes(IdBytes{}); }) {
      return T::from_bytes(IdBytes{});
    } else {
      return T{};
    }
  }

 private:
  std::string_view left_;
  bool failed_ = false;
};

template <class Message>
[[nodiscard]] std::string encode(Message& message) {
  Encoder encoder;
  message.fields(encoder);
  return encoder.take();
}

// Errors: kInvalid when a field is cut short, out of bounds, or bytes are left over.
template <class Message>
[[nodiscard]] Result<Message> decode(std::string_view bytes) {
  Message message{};
  Decoder decoder(bytes);
  message.fields(decoder);
  if (!decoder.complete()) return failure(Error::kInvalid, "a control message does not decode");
  return message;
}

}  // namespace gatehouse::ipc
