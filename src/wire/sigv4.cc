// SPDX-License-Identifier: Apache-2.0
#include "wire/sigv4.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>

#include "base/check.h"
#include "base/encoding.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kDateSize = std::string_view("20150830T123600Z").size();

using Digest = std::array<std::uint8_t, 32>;

std::string hex_sha256(std::string_view text) {
  Digest digest{};
  unsigned size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  return to_hex(digest);
}

// A step of the key's derivation; what a step was made of is wiped by its owner.
class Key {
 public:
  explicit Key(std::string_view bytes) : bytes_(bytes) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key() { wipe(bytes_); }
  [[nodiscard]] Digest mac(std::string_view text) const {
    Digest out{};
    unsigned size = 0;
    CHECK(HMAC(EVP_sha256(), bytes_.data(), static_cast<int>(bytes_.size()), bytes_of(text).data(),
               text.size(), out.data(), &size)
          != nullptr);
    return out;
  }
  [[nodiscard]] Key next(std::string_view text) const {
    Digest digest = mac(text);
    Key key(text_of(digest));
    wipe({reinterpret_cast<char*>(digest.data()), digest.size()});
    return key;
  }

 private:
  Key(Key&&) = default;
  std::string bytes_;
};

// RFC 3986: unreserved characters stay, everything else is %XX; a slash of a path stays too.
std::string encoded(std::string_view text, bool is_path) {
  if (!is_path) return percent_encoded(text);
  std::string out;
  while (true) {
    const std::size_t end = std::min(text.find('/'), text.size());
    out += percent_encoded(text.substr(0, end));
    if (end == text.size()) return out;
    out += '/';
    text.remove_prefix(end + 1);
  }
}

std::string canonical_query(std::string_view query) {
  if (query.starts_with('?')) query.remove_prefix(1);
  std::vector<std::string> pairs;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto plain = [](std::string_view part) {
      auto decoded = percent_decoded(part);
      return percent_encoded(decoded ? *decoded : part);
    };
    if (!pair.empty()) {
      pairs.push_back(plain(pair.substr(0, equals)) + "="
                      + plain(pair.substr(std::min(equals + 1, pair.size()))));
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  std::ranges::sort(pairs);
  std::string out;
  for (const std::string& pair : pairs) out += (out.empty() ? "" : "&") + pair;
  return out;
}

// Without spaces around it, and one where there were several.
std::string trimmed_all(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool is_space = c == ' ' || c == '\t';
    if (!is_space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

Failure no_request(std::string_view why) {
  return failure(Error::kInvalid, "no canonical request: " + std::string(why));
}

Result<std::int64_t> seconds_of(std::string_view date) {
  const auto is_digits = [&](std::size_t at, std::size_t size) {
    return all_are(kDigitChar, date.substr(at, size));
  };
  if (date.size() != kDateSize || date[8] != 'T' || date[15] != 'Z' || !is_digits(0, 8)
      || !is_digits(9, 6)) {
    return no_request("its date is no date");
  }
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = 0;
    for (const char c : date.substr(at, size)) value = value * 10 + (c - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year{number(0, 4)},
                                        std::chrono::month{static_cast<unsigned>(number(4, 2))},
                                        std::chrono::day{static_cast<unsigned>(number(6, 2))}};
  if (!day.ok() || number(9, 2) > 23 || number(11, 2) > 59 || number(13, 2) > 60) {
    return no_request("its date is no date");
  }
  const auto days = std::chrono::sys_days(day).time_since_epoch();
  return std::chrono::seconds(days).count() + number(9, 2) * 3600 + number(11, 2) * 60
         + number(13, 2);
}

// The next line of `rest`, which moves behind it.
Result<std::string_view> line_of(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return no_request("it ends too early");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::string sigv4_date(std::int64_t unix_seconds) {
  const std::chrono::sys_seconds at{std::chrono::seconds(unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{at - day};
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::string sigv4_canonical_request(std::string_view method, std::string_view path,
                                    std::string_view query,
                                    std::vector<std::pair<std::string, std::string>> headers,
                                    std::string_view body) {
  std::map<std::string, std::string> by_name;
  for (const auto& [name, value] : headers) {
    const auto [at, is_new] = by_name.try_emplace(lowered(name));
    at->second += (is_new ? "" : ",") + trimmed_all(value);
  }
  std::string lines;
  std::string names;
  for (const auto& [name, value] : by_name) {
    lines += name + ':' + value + '\n';
    names += (names.empty() ? "" : ";") + name;
  }
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", method, encoded(path, true), canonical_query(query),
                     lines, names, hex_sha256(body));
}

Result<SigV4Request> SigV4Request::parse(std::string_view canonical) {
  if (canonical.size() > kMaxCanonicalRequest) {
    return failure(Error::kTooLarge, "a canonical request is larger than 32 KiB");
  }
  SigV4Request request;
  std::string_view rest = canonical;
  request.method = TRY(line_of(rest));
  if (!TRY(line_of(rest)).starts_with('/')) return no_request("it has no path");
  (void)TRY(line_of(rest));
  std::string names;
  std::string_view before;
  while (true) {
    const std::string_view line = TRY(line_of(rest));
    if (line.empty()) break;
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() || name <= before) {
      return no_request("its headers are not sorted");
    }
    before = name;
    names += (names.empty() ? "" : ";") + std::string(name);
    if (name == "host") request.host = line.substr(colon + 1);
    if (name == "x-amz-date") request.date = line.substr(colon + 1);
  }
  request.signed_headers = TRY(line_of(rest));
  if (request.signed_headers != names) return no_request("it signs other headers than it has");
  if (rest.size() != 64 || !all_are(kHexChar, rest)) return no_request("it has no body's hash");
  if (request.host.empty()) return no_request("it has no host");
  request.date_unix_s = TRY(seconds_of(request.date));
  return request;
}

Result<std::string> sigv4_authorization(const Secret& key_pair, std::string_view region,
                                        std::string_view service, std::string_view canonical) {
  const SigV4Request request = TRY(SigV4Request::parse(canonical));
  const std::string_view pair = trimmed(key_pair.open(Purpose::kDerive));
  const std::size_t colon = pair.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == pair.size()
      || !all_are(kTokenChar, pair.substr(0, colon))) {
    return failure(Error::kCorrupt,
                   "the stored credential is no AWS key pair: ACCESS_KEY_ID:SECRET_ACCESS_KEY");
  }
  const std::string_view day = request.date.substr(0, 8);
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", day, region, service);
  const std::string text =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, request.date, scope, hex_sha256(canonical));
  std::string first;
  first.reserve(4 + pair.size());
  first.append("AWS4").append(pair.substr(colon + 1));
  const Key secret(first);
  wipe(first);
  const Key signing = secret.next(day).next(region).next(service).next("aws4_request");
  return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                     pair.substr(0, colon), scope, request.signed_headers,
                     to_hex(signing.mac(text)));
}

}  // namespace gatehouse::wire
