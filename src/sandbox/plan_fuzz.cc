// SPDX-License-Identifier: Apache-2.0
// What asks for a sandbox, and what warden and sandboxd say to each other, from hostile bytes: a
// plan that is made never leaves the volumes, never has root's uid and never reads above its home.
#include "base/check.h"
#include "ipc/codec.h"
#include "sandbox/adoption.h"
#include "sandbox/plan.h"
#include "sandbox/warden.h"

using namespace gatehouse;
using namespace gatehouse::sandbox;

namespace {

bool climbs(std::string_view path) {
  return path.starts_with("../") || path.contains("/../") || path.ends_with("/..") || path == "..";
}

void check_plan(const ipc::CreateSandbox& request) {
  const auto plan = make_plan(request, {"/volumes", "anchors", "/run/wardens.sock"});
  if (!plan) return;
  CHECK(plan->host_uid >= kFirstHostUid && !plan->argv.empty());
  const std::string_view volume = std::string_view(plan->volume).substr(std::size("/volumes/") - 1);
  CHECK(!volume.empty() && volume.find('/') == volume.npos && volume.find('\0') == volume.npos);
  CHECK(volume != "." && volume != "..");
  for (const std::string& file : plan->read_only_files) {
    CHECK(!file.starts_with('/') && !climbs(file));
  }
  for (const ipc::ReadOnlyPath& tool : plan->toolbox) {
    CHECK(tool.source.starts_with('/') && tool.target.starts_with('/') && !climbs(tool.target));
  }
  for (const std::string& item : plan->environment) {
    CHECK(item.find('=') != 0 && item.contains('=') && !item.contains('\0'));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto request = ipc::decode<ipc::CreateSandbox>(bytes)) check_plan(*request);
  if (auto charge = ipc::decode<Charge>(bytes)) CHECK(ipc::encode(*charge) == bytes);
  if (auto report = ipc::decode<Report>(bytes)) CHECK(ipc::encode(*report) == bytes);
  // Who has not the key proves nothing, whatever is said.
  static const Secret key(std::string(kHouseKeySize, 'k'));
  const std::size_t third = size / 3;
  const Meeting meeting{std::string(bytes.substr(0, third)),
                        std::string(bytes.substr(third, third))};
  CHECK(!is_proof(bytes.substr(2 * third), "sandboxd", key, meeting));
  return 0;
}
