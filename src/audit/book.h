// SPDX-License-Identifier: Apache-2.0
// The audit role on its Role: who may append and read, the rings that gateways offer, and the pump
// that commits a group when the group before has ended.
#pragma once

#include <map>
#include <string>

#include "audit/service.h"
#include "ipc/role.h"

namespace gatehouse::audit {

class Book {
 public:
  // Both must outlive it.
  Book(ipc::Role& role, Service& service);
  ~Book();
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::audit
