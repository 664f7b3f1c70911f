// SPDX-License-Identifier: Apache-2.0
// The audit role: the book.
#include "audit/book.h"
#include "base/log.h"
#include "bin/role_main.h"

namespace gatehouse::bin {
namespace {

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("audit", argc, argv);
  settle_role(flags, "audit");
  auto files = net::open_file_system(".");
  if (!files) {
    log_error("the audit directory", {{"why", files.error().message()}});
    return 70;
  }
  auto log = audit::Log::open(**files);
  if (!log) {
    log_error("the audit log is damaged and is not written to; `gatehouse audit verify` says where",
              {{"why", log.error().message()}});
    return 74;
  }
  log_info("the book is open", {{"entries", (*log)->size()}});
  audit::Service service(std::move(*log));
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  const audit::Book book(role, service);
  ipc::Confinement plan = confinement_of(flags);
  plan.writable = {"."};
  const int status = live(role, std::move(plan));
  // The supervisor lets this role go last: what the others have written is all there will be.
  if (const Result<void> finished = service.finish(); !finished) {
    log_error("what was written last is not in the log", {{"why", finished.error().message()}});
    return 74;
  }
  return status;
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
