// SPDX-License-Identifier: Apache-2.0
#include "wire/redact.h"

#include <algorithm>
#include <cstring>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

void wipe_text(std::string& text) { wipe({text.data(), text.size()}); }

// The characters of base64 that depend on the value alone, when `shift` bytes stand before it.
std::string base64_core(std::string_view value, std::size_t shift, bool url) {
  std::string padded(shift, '\0');
  padded += value;
  std::string all = url ? to_base64url(padded) : to_base64(padded);
  const std::size_t begin = (shift * 8 + 5) / 6;
  const std::size_t end = padded.size() * 8 / 6;
  std::string core = all.substr(begin, end - begin);
  wipe_text(padded);
  wipe_text(all);
  return core;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c;
  return text;
}

std::string utf16le(std::string_view value) {
  std::string out;
  out.reserve(2 * value.size());
  for (const char c : value) out.append({c, '\0'});
  return out;
}

// Of the two bytes that begin `text`.
std::size_t pair_of(const char* text) {
  std::uint16_t pair = 0;
  std::memcpy(&pair, text, sizeof pair);
  return pair;
}

}  // namespace

RedactionForms::RedactionForms() : heads_(256) {}

RedactionForms::~RedactionForms() {
  for (std::string& form : forms_) wipe_text(form);
}

Redactor::~Redactor() { wipe_text(held_); }

Result<void> RedactionForms::add(const Secret& value) {
  if (value.size() < kMinRedactable) {
    return failure(Error::kInvalid, "a value shorter than 6 bytes cannot be matched in traffic");
  }
  if (value.size() > kMaxRedactable) {
    return failure(Error::kTooLarge, "a value longer than 16 KiB cannot be matched in traffic");
  }
  if (++values_ > kMaxRedacted) {
    return failure(Error::kTooMany, "more than 256 values to match in one stream");
  }
  const std::string_view raw = value.open(Purpose::kCompare);
  add_form(std::string(raw));
  for (std::size_t shift = 0; shift < 3; ++shift) {
    add_form(base64_core(raw, shift, false));
    add_form(base64_core(raw, shift, true));
  }
  std::string hex = to_hex(bytes_of(raw));
  add_form(upper(hex));
  add_form(std::move(hex));
  add_form(percent_encoded(raw));
  std::string quoted = json_quoted(raw);
  add_form(quoted.substr(1, quoted.size() - 2));
  wipe_text(quoted);
  add_form(utf16le(raw));
  // Indexes follow the order, longest first, so that the first hit of a place is its longest.
  std::ranges::sort(forms_, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  for (auto& head : heads_) head.clear();
  for (std::uint32_t i = 0; i < forms_.size(); ++i) {
    heads_[static_cast<unsigned char>(forms_[i][0])].push_back(i);
  }
  return {};
}

void RedactionForms::add_form(std::string form) {
  if (form.size() >= kMinRedactable && std::ranges::find(forms_, form) == forms_.end()) {
    pairs_.set(pair_of(form.data()));
    forms_.push_back(std::move(form));
  } else {
    wipe_text(form);
  }
}

std::size_t RedactionForms::first_doubtful(std::string_view text, std::size_t from) const {
  for (; from + 1 < text.size(); ++from) {
    if (pairs_[pair_of(text.data() + from)]) break;
  }
  return from;
}

bool RedactionForms::are_in(std::string_view text) const {
  for (std::size_t at = first_doubtful(text, 0); at + 1 < text.size();
       at = first_doubtful(text, at + 1)) {
    const std::string_view rest = text.substr(at);
    for (const std::uint32_t i : heads_[static_cast<unsigned char>(text[at])]) {
      if (rest.starts_with(forms_[i])) return true;
    }
  }
  return false;
}

void Redactor::feed(std::string_view input, std::string& out) {
  if (held_.empty()) {
    scan(input, out, false);
    return;
  }
  std::string joined = std::move(held_);
  held_.clear();
  joined += input;
  scan(joined, out, false);
  wipe_text(joined);
}

void Redactor::finish(std::string& out) {
  std::string rest = std::move(held_);
  held_.clear();
  scan(rest, out, true);
  wipe_text(rest);
}

void Redactor::scan(std::string_view text, std::string& out, bool at_end) {
  std::size_t settled = 0;
  std::size_t at = 0;
  while ((at = forms_->first_doubtful(text, at)) < text.size()) {
    const std::string_view rest = text.substr(at);
    std::size_t hit = 0;
    bool wait = false;
    for (const std::uint32_t i : forms_->heads_[static_cast<unsigned char>(text[at])]) {
      const std::string_view form = forms_->forms_[i];
      if (rest.starts_with(form)) {
        hit = form.size();
        break;
      }
      wait = !at_end && form.starts_with(rest);
      if (wait) break;
    }
    if (wait) {
      out.append(text.substr(settled, at - settled));
      held_ = rest;
      return;
    }
    if (hit == 0) {
      ++at;
      continue;
    }
    out.append(text.substr(settled, at - settled)).append(replacement_);
    ++hits_;
    at += hit;
    settled = at;
  }
  out.append(text.substr(settled));
}

}  // namespace gatehouse::wire
