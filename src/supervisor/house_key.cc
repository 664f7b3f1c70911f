// SPDX-License-Identifier: Apache-2.0
#include "supervisor/house_key.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/key_file.h"
#include "base/log.h"

namespace gatehouse::supervisor {
namespace {

constexpr const char* kName = "house-key";

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
  Result<std::string> bytes = net::read_file(files, kName, kKeyFileMost);
  Result<KeyFile> found = bytes ? parse_key_file(kHouseKeyFormat, *bytes) : Failure(bytes.error());
  if (bytes) wipe({bytes->data(), bytes->size()});
  if (!found && found.error() == Error::kUnsupported) return Failure(found.error());
  if (!found) {
    if (found.error() != Error::kNotFound) {
      log_warning("the house's key cannot be read, so it is made anew",
                  {{"why", found.error().message()}});
    }
    found = KeyFile{Secret::random(kKeySize), 0};
  }
  if (found->version < kHouseKeyFormat.latest) {
    TRY(net::replace_file(files, kName,
                          key_file_bytes(kHouseKeyFormat, found->key).open(Purpose::kSeal)));
  }
  return sealed_memory(found->key.open(Purpose::kTransport));
}

}  // namespace gatehouse::supervisor
