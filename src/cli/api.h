// SPDX-License-Identifier: Apache-2.0
// The CLI's end of the admin API.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/http.h"
#include "cli/verbs.h"

namespace gatehouse::cli {

class Api {
 public:
  // The house's own socket below its data directory.
  [[nodiscard]] static Result<Api> open(const Options& options, const Wiring& wiring);

  // An answer of 2xx. Errors: what the API says is wrong, by its status; http()'s.
  [[nodiscard]] Result<HttpReply> call(
      std::string_view method, const std::string& path, const std::string& body = "",
      std::vector<std::pair<std::string, std::string>> headers = {}) const;
  // All pages of a list, each item as it came.
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const;
  // The tenant that is named, else the only one there is.
  [[nodiscard]] Result<std::string> tenant(const Options& options) const;

 private:
  explicit Api(HttpPlace place) : place_(std::move(place)) {}
  HttpPlace place_;
};

}  // namespace gatehouse::cli
