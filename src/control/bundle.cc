// SPDX-License-Identifier: Apache-2.0
#include "control/bundle.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/memory.h"
#include "ipc/codec.h"
#include "ipc/message.h"

namespace gatehouse::control {
namespace {

struct NamedFile {
  std::string path;
  std::string bytes;
  template <class F>
  void fields(F& f) {
    f(path, bytes);
  }
};
struct Files {
  std::string path;  // of the config, for what is said of it
  std::string yaml;
  std::vector<NamedFile> named;
  template <class F>
  void fields(F& f) {
    f(path, yaml, named);
  }
};

Result<Config> config_of(const Files& files, const ReadNamed& read) {
  auto config = decode_config(files.yaml, read);
  if (!config) return refusal_of(config.error(), files.path);
  place_house_files(*config, files.path);
  return *std::move(config);
}

}  // namespace

Result<Bundle> read_bundle(const std::string& path) {
  const ReadNamed read = reader_beside(path);
  Files files{path, TRY(read_whole(path)), {}};
  Config config = TRY(config_of(files, [&](const std::string& named) -> Result<std::string> {
    std::string bytes = TRY(read(named));
    files.named.push_back({named, bytes});
    return bytes;
  }));
  const std::string bytes = ipc::encode(files);
  if (bytes.size() > kBundleMost) {
    return failure(Error::kTooLarge,
                   fmt::format("{} and the files that it names have {} bytes; at most {} are taken",
                               path, bytes.size(), kBundleMost));
  }
  return Bundle{TRY(sealed_memory("config", bytes)), std::move(config)};
}

Result<Config> config_of_bundle(const net::Descriptor& memory) {
  const auto files = TRY(ipc::decode<Files>(TRY(bytes_of_memory(memory, kBundleMost))));
  return config_of(files, [&](const std::string& named) -> Result<std::string> {
    const auto found = std::find_if(files.named.begin(), files.named.end(),
                                    [&](const NamedFile& file) { return file.path == named; });
    if (found == files.named.end()) {
      return failure(Error::kNotFound, named + " was not handed over with the config");
    }
    return found->bytes;
  });
}

}  // namespace gatehouse::control
