// SPDX-License-Identifier: Apache-2.0
// SQLite over a net::FileSystem: control's own directory, to which its uid needs no way by path, or
// the simulated disk. It locks nothing: one connection at a time, as the lock of the house makes
// sure. (https://sqlite.org/vfs.html)
#pragma once

#include <memory>
#include <string>

#include "net/file.h"

namespace gatehouse::control {

class Vfs {
 public:
  // Registers with SQLite under a name of its own until it is destroyed; `files` and this must
  // outlive every database that is opened through it.
  explicit Vfs(net::FileSystem& files);
  ~Vfs();
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  [[nodiscard]] const std::string& name() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::control
