// SPDX-License-Identifier: Apache-2.0
// Exact matching of secret values in streaming traffic, in the forms in which they leak: raw,
// base64 (standard and URL-safe, at each of its three alignments), hex of either case,
// percent-encoded, JSON-escaped and UTF-16LE. Any chunking gives the same output; at most one
// form's length less one byte is held back, and only while it may still become a hit. Not found:
// values that are split, compressed, encrypted or encoded in other or nested ways.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMinRedactable = 6;  // shorter values would hit by chance
inline constexpr std::size_t kMaxRedactable = 16 * 1024;
inline constexpr std::size_t kMaxRedacted = 256;  // values of one redactor

// What is looked for: the forms of some values. Streams that look for the same ones share it;
// immobile, and wiped when it dies.
class RedactionForms {
 public:
  RedactionForms();
  RedactionForms(const RedactionForms&) = delete;
  RedactionForms& operator=(const RedactionForms&) = delete;
  ~RedactionForms();

  // Before the first Redactor uses it. Errors: kInvalid below 6 bytes, kTooLarge above 16 KiB,
  // kTooMany.
  [[nodiscard]] Result<void> add(const Secret& value);
  // Whether one of them is in `text`, which is whole.
  [[nodiscard]] bool are_in(std::string_view text) const;

 private:
  friend class Redactor;
  void add_form(std::string form);
  // The first place from `from` on where one may begin, by two bytes, or by one at the end; else
  // the text's size.
  [[nodiscard]] std::size_t first_doubtful(std::string_view text, std::size_t from) const;

  std::vector<std::string> forms_;                 // longest first
  std::vector<std::vector<std::uint32_t>> heads_;  // forms by first byte
  std::bitset<65536> pairs_;                       // whether a form begins with these two bytes
  std::size_t values_ = 0;
};

// One stream. Immobile; wipes what it holds back.
class Redactor {
 public:
  // `replacement` must outlive this.
  Redactor(std::shared_ptr<const RedactionForms> forms, std::string_view replacement)
      : forms_(std::move(forms)), replacement_(replacement) {}
  Redactor(const Redactor&) = delete;
  Redactor& operator=(const Redactor&) = delete;
  ~Redactor();

  // Appends to `out` what is settled, hits replaced. The leftmost hit wins, of those the longest
  // form that is complete when no byte is missing for a longer one.
  void feed(std::string_view input, std::string& out);
  // The end of the stream: what was held back.
  void finish(std::string& out);
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  void scan(std::string_view text, std::string& out, bool at_end);

  std::shared_ptr<const RedactionForms> forms_;
  std::string_view replacement_;
  std::string held_;
  std::uint64_t hits_ = 0;
};

}  // namespace gatehouse::wire
