// SPDX-License-Identifier: Apache-2.0
// The CLI's end of the admin API.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/http.h"
#include "cli/verbs.h"

namespace gatehouse::cli {

class Api {
 public:
  // The server that is named, else the house's own socket below its data directory; as whoever is
  // signed in there, else as who the kernel says. Errors: kUnauthenticated when a session is over:
  // nobody becomes somebody else by that.
  [[nodiscard]] static Result<Api> open(const Options& options, const Wiring& wiring);
  // Where somebody is signed in, or a server elsewhere is named; nothing for the owner at the
  // house's own sockets.
  [[nodiscard]] static Result<std::optional<Api>> signed_in(const Options& options,
                                                            const Wiring& wiring);
  // As nobody who has signed in.
  [[nodiscard]] static Result<Api> open_unsigned(const Options& options, const Wiring& wiring);

  [[nodiscard]] bool is_elsewhere() const { return place_.socket.empty(); }
  // What its sessions are stored under.
  [[nodiscard]] const std::string& house() const {
    return place_.socket.empty() ? place_.origin : place_.socket;
  }

  // An answer of 2xx. Errors: what the API says is wrong, by its status; http()'s.
  [[nodiscard]] Result<HttpReply> call(
      std::string_view method, const std::string& path, const std::string& body = "",
      std::vector<std::pair<std::string, std::string>> headers = {}) const;
  // The same without a body, beside whatever else that Loop runs.
  [[nodiscard]] net::Task<Result<HttpReply>> call_on(net::Loop& loop, std::string_view method,
                                                     std::string path) const;
  // All pages of a list, each item as it came.
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const;
  // The tenant that is named, else the only one there is.
  [[nodiscard]] Result<std::string> tenant(const Options& options) const;

 private:
  [[nodiscard]] HttpRequest request(std::string_view method, const std::string& path,
                                    const std::string& body,
                                    std::vector<std::pair<std::string, std::string>> headers) const;
  explicit Api(HttpPlace place) : place_(std::move(place)) {}
  HttpPlace place_;
  std::string session_;
};

}  // namespace gatehouse::cli
