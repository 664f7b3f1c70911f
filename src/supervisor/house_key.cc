// SPDX-License-Identifier: Apache-2.0
#include "supervisor/house_key.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"

namespace gatehouse::supervisor {
namespace {

constexpr const char* kName = "house-key";
constexpr std::size_t kSize = 32;

Result<net::Descriptor> sealed_memory(std::string_view bytes) {
  net::Descriptor memory(memfd_create("house-key", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (!memory.is_open()
      || ::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())
      || fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
    return failure_from_errno(errno, "keeping the house's key in memory");
  }
  return memory;
}

}  // namespace

Result<net::Descriptor> house_key(net::FileSystem& files) {
  Result<std::string> key = net::read_file(files, kName, kSize);
  if (!key || key->size() != kSize) {
    if (key || key.error() != Error::kNotFound) {
      log_warning("the house's key cannot be read, so it is made anew",
                  {{"why", key ? "it is cut short" : key.error().message()}});
    }
    std::string fresh(kSize, '\0');
    fill_random({reinterpret_cast<std::uint8_t*>(fresh.data()), fresh.size()});
    TRY(net::replace_file(files, kName, fresh));
    key = std::move(fresh);
  }
  Result<net::Descriptor> memory = sealed_memory(*key);
  wipe({key->data(), key->size()});
  return memory;
}

}  // namespace gatehouse::supervisor
