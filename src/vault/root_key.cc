// SPDX-License-Identifier: Apache-2.0
#include "vault/root_key.h"

#include <sys/stat.h>

#include "base/key_file.h"
#include "base/log.h"

namespace gatehouse::vault {
namespace {

constexpr const char* kName = "root.key";

Result<void> write_key(net::FileSystem& files, const Secret& key) {
  const Secret bytes = key_file_bytes(kRootKeyFormat, key);
  return net::replace_file(files, kName, bytes.open(Purpose::kSeal));
}

Result<Secret> make_key(net::FileSystem& files) {
  for (const std::string& file : TRY(files.list("."))) {
    if (!file.ends_with(".sealed")) continue;
    return failure(Error::kCorrupt,
                   "the vault's key file root.key is gone, and what it sealed is still here; "
                   "restore it from its backup: no other key opens it");
  }
  Secret fresh = Secret::random(kKeySize);
  TRY(write_key(files, fresh));
  return fresh;
}

}  // namespace

Result<Secret> root_key(net::FileSystem& files) {
  Result<std::string> bytes = net::read_file(files, kName, kKeyFileMost);
  if (!bytes && bytes.error() == Error::kNotFound) return make_key(files);
  if (!bytes) return Failure(bytes.error());
  Result<KeyFile> found = parse_key_file(kRootKeyFormat, *bytes);
  wipe({bytes->data(), bytes->size()});
  if (!found && found.error() == Error::kCorrupt) {
    return failure(Error::kCorrupt, found.error().message()
                                        + "; restore vault/root.key from its backup, nothing "
                                          "else opens what it sealed");
  }
  if (!found) return Failure(found.error());
  if (found->version < kRootKeyFormat.latest) {
    const Result<void> written = write_key(files, found->key);
    if (written) log_info("the vault's key file is of the present version now");
    if (!written) {
      log_warning("the vault's key file stays of its earlier version until the next start",
                  {{"why", written.error().message()}});
    }
  }
  return std::move(found->key);
}

Result<Secret> load_or_make_key(const std::string& directory) {
  const std::string path = directory + "/" + kName;
  struct stat about{};
  if (::lstat(path.c_str(), &about) == 0 && (about.st_mode & 0077) != 0) {
    return failure(Error::kDenied, "the vault's key file " + path
                                       + " can be read by others; the key may be known: "
                                         "chmod 600 it and rotate what it sealed");
  }
  const auto files = TRY(net::open_file_system(directory));
  return root_key(*files);
}

}  // namespace gatehouse::vault
