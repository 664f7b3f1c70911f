// SPDX-License-Identifier: Apache-2.0
// The control role: what is in force, and people's way to it.
#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/log.h"
#include "bin/role_main.h"
#include "control/steward.h"

namespace gatehouse::bin {
namespace {

const char* flag(int argc, char** argv, const char* name) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return "";
}

void report(const control::Applied& applied) {
  for (const std::string& item : applied.added) log_info("from the file, new", {{"what", item}});
  for (const std::string& item : applied.changed)
    log_info("from the file, changed", {{"what", item}});
  for (const std::string& item : applied.removed) log_info("gone from the file", {{"what", item}});
}

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("control", argc, argv);
  const auto config = control::load_config(flag(argc, argv, "--config"));
  if (!config) {
    log_error("the configuration is refused whole", {{"why", config.error().message()}});
    return 78;
  }
  auto store = control::open_sqlite_store(flags.data + "/state/state.db");
  if (!store) {
    log_error("the state store", {{"why", store.error().message()}});
    return 74;
  }
  const auto applied = (*store)->apply_file(*config);
  if (!applied) {
    log_error("the configuration cannot be applied", {{"why", applied.error().message()}});
    return 78;
  }
  report(*applied);
  const std::string_view owner_text = flag(argc, argv, "--owner");
  std::uint32_t owner = 0;
  std::from_chars(owner_text.data(), owner_text.data() + owner_text.size(), owner);
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  control::Steward steward(role, **store);
  steward.serve();
  role.on_descriptor("control.sock", [&](net::Descriptor fd) {
    auto listener = loop->adopt_listener(std::move(fd));
    if (listener) steward.listen(std::move(*listener), owner);
  });
  ipc::Confinement plan;
  plan.uid = flags.uid;
  plan.network = ipc::Network::kOutboundAndAccept;  // accept; it makes no connection
  plan.writable = {flags.data + "/state"};
  return live(role, std::move(plan));
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
