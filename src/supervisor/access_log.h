// SPDX-License-Identifier: Apache-2.0
// The access log's file, opened here for the exporter, which has no way to it: at the start, and
// anew each time that the config is read, so that a rotation can move the one before away. Of the
// supervisor's thread.
#pragma once

#include <map>
#include <string>

#include "net/descriptor.h"
#include "supervisor/joiner.h"

namespace gatehouse::supervisor {

class AccessLog {
 public:
  // Both outlive it.
  AccessLog(Joiner& joiner, const std::map<std::string, Child>& children)
      : joiner_(joiner), children_(children) {}
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // `to` is a path, "stderr", or "" for none, which gives no descriptor. What is not there is made,
  // with mode 0640. Errors: with what to do; a link or what is no file is refused.
  [[nodiscard]] static Result<net::Descriptor> opened(const std::string& to);
  // From now on.
  void use(net::Descriptor file);
  // Gives it to the exporter when that has become ready.
  void furnish(const std::string& role);

 private:
  Joiner& joiner_;
  const std::map<std::string, Child>& children_;
  net::Descriptor file_;
};

}  // namespace gatehouse::supervisor
