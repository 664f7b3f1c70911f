// SPDX-License-Identifier: Apache-2.0
#include "sandbox/volume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace gatehouse::sandbox {
namespace {

namespace fs = std::filesystem;

Failure broken(std::string_view step, const std::error_code& why) {
  return failure(Error::kUnsupported, fmt::format("the home volume: {}: {}", step, why.message()));
}
std::error_code from_errno() { return {errno, std::generic_category()}; }

Result<void> give_all(const fs::path& root, std::uint32_t uid) {
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(root, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (lchown(at->path().c_str(), uid, uid) != 0) {
      return broken("giving " + at->path().string(), from_errno());
    }
    if (at->is_symlink(error)) continue;
    // What came from a read-only tree is the agent's own here.
    fs::permissions(at->path(), fs::perms::owner_read | fs::perms::owner_write,
                    fs::perm_options::add, error);
  }
  if (error) return broken("giving what is in it", error);
  return {};
}

Result<void> make_volume(const Plan& plan) {
  // Of this run alone: another first run of the same user may be making it too.
  const fs::path making = plan.volume + ".making-" + plan.run.run.text();
  std::error_code error;
  fs::remove_all(making, error);  // of an attempt that broke off
  if (mkdir(making.c_str(), 0700) != 0) return broken("making it", from_errno());
  if (!plan.skeleton.empty()) {
    fs::copy(plan.skeleton, making, fs::copy_options::recursive | fs::copy_options::copy_symlinks,
             error);
    if (error) return broken("copying the skeleton " + plan.skeleton, error);
    TRY(give_all(making, plan.host_uid));
  }
  if (chmod(making.c_str(), 0700) != 0) return broken("closing it", from_errno());
  fs::rename(making, plan.volume, error);
  if (error) {
    std::error_code ignored;
    fs::remove_all(making, ignored);
    if (!fs::exists(plan.volume, ignored)) return broken("naming it", error);
  }
  return {};
}

}  // namespace

Result<net::Descriptor> open_volume(const Plan& plan) {
  struct stat about{};
  if (lstat(plan.volume.c_str(), &about) != 0) TRY(make_volume(plan));
  net::Descriptor volume(
      open(plan.volume.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!volume.is_open()) return broken("opening it", from_errno());
  if (fchown(volume.get(), plan.host_uid, plan.host_uid) != 0) {
    return broken("giving it", from_errno());
  }
  return volume;
}

}  // namespace gatehouse::sandbox
