// SPDX-License-Identifier: Apache-2.0
#include "wire/http_date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                   "Friday", "Saturday", "Sunday"};
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

// A text that is taken off piece by piece; the first that is not there spoils all that follow.
class Pieces {
 public:
  explicit Pieces(std::string_view text) : rest_(text) {}
  void text(std::string_view expected) {
    is_good_ = is_good_ && rest_.starts_with(expected);
    if (is_good_) rest_.remove_prefix(expected.size());
  }
  // The day's name; `letters`: of it, or all for 0.
  void day(std::size_t letters) {
    const auto* const found = std::ranges::find_if(kDays, [&](std::string_view name) {
      return rest_.starts_with(letters == 0 ? name : name.substr(0, letters));
    });
    is_good_ = is_good_ && found != kDays.end();
    if (is_good_) rest_.remove_prefix(letters == 0 ? found->size() : letters);
  }
  // 1 to 12.
  unsigned month() {
    const std::size_t at =
        rest_.size() < 3 ? std::string_view::npos : kMonths.find(rest_.substr(0, 3));
    is_good_ = is_good_ && at != std::string_view::npos && at % 3 == 0;
    if (!is_good_) return 0;
    rest_.remove_prefix(3);
    return static_cast<unsigned>(at / 3) + 1;
  }
  // So many digits; `may_be_padded`: the first may be a space.
  int number(std::size_t digits, bool may_be_padded = false) {
    if (may_be_padded && rest_.starts_with(' ')) {
      text(" ");
      --digits;
    }
    is_good_ = is_good_ && rest_.size() >= digits && all_are(kDigitChar, rest_.substr(0, digits));
    if (!is_good_) return 0;
    int value = 0;
    for (const char c : rest_.substr(0, digits)) value = value * 10 + (c - '0');
    rest_.remove_prefix(digits);
    return value;
  }
  [[nodiscard]] bool is_done() const { return is_good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool is_good_ = true;
};

struct Moment {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void read_time(Pieces& from, Moment& at) {
  at.hour = from.number(2);
  from.text(":");
  at.minute = from.number(2);
  from.text(":");
  at.second = from.number(2);
}

std::optional<std::int64_t> seconds_of(const Moment& at) {
  const std::chrono::year_month_day date{std::chrono::year(at.year), std::chrono::month(at.month),
                                         std::chrono::day(static_cast<unsigned>(at.day))};
  // 60 is a leap second.
  if (!date.ok() || at.hour > 23 || at.minute > 59 || at.second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(days).count() + at.hour * 3600
         + at.minute * 60 + at.second;
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<std::int64_t> imf_fixdate(std::string_view field) {
  Pieces from(field);
  Moment at;
  from.day(3);
  from.text(", ");
  at.day = from.number(2);
  from.text(" ");
  at.month = from.month();
  from.text(" ");
  at.year = from.number(4);
  from.text(" ");
  read_time(from, at);
  from.text(" GMT");
  return from.is_done() ? seconds_of(at) : std::nullopt;
}

// Sunday, 06-Nov-94 08:49:37 GMT
std::optional<std::int64_t> rfc850(std::string_view field, std::int64_t now_s) {
  Pieces from(field);
  Moment at;
  from.day(0);
  from.text(", ");
  at.day = from.number(2);
  from.text("-");
  at.month = from.month();
  from.text("-");
  at.year = from.number(2);
  from.text(" ");
  read_time(from, at);
  from.text(" GMT");
  if (!from.is_done()) return std::nullopt;
  const std::chrono::sys_seconds now{std::chrono::seconds(now_s)};
  const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
  const int this_year = static_cast<int>(today.year());
  at.year += this_year - this_year % 100;
  if (at.year > this_year + 50) at.year -= 100;
  if (at.year <= this_year - 50) at.year += 100;
  return seconds_of(at);
}

// Sun Nov  6 08:49:37 1994
std::optional<std::int64_t> asctime(std::string_view field) {
  Pieces from(field);
  Moment at;
  from.day(3);
  from.text(" ");
  at.month = from.month();
  from.text(" ");
  at.day = from.number(2, true);
  from.text(" ");
  read_time(from, at);
  from.text(" ");
  at.year = from.number(4);
  return from.is_done() ? seconds_of(at) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> http_date(std::string_view field, std::int64_t now_s) {
  if (const auto at = imf_fixdate(field)) return at;
  if (const auto at = rfc850(field, now_s)) return at;
  return asctime(field);
}

}  // namespace gatehouse::wire
