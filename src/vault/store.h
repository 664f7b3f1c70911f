// SPDX-License-Identifier: Apache-2.0
// The sealed store: one file a record, replaced so that a crash leaves the old or the new.
// docs/formats/vault.md describes it. Opened values live in locked memory; nothing is shown again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "net/file.h"
#include "vault/seal.h"

namespace gatehouse::vault {

// A record's identity without its version.
using RecordKey = std::tuple<std::string, std::string, std::string,
                             ipc::CredentialKind>;  // tenant, user, service, kind

class Store {
 public:
  // Reads every record's name. Errors: kCorrupt names the file.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(net::FileSystem& files,
                                                           const Sealer& sealer);

  // Durable when it returns.
  [[nodiscard]] Result<void> put(const RecordKey& key, const Secret& value,
                                 std::int64_t now_unix_ms);
  // Errors: kNotFound, kCorrupt.
  [[nodiscard]] Result<Secret> get(const RecordKey& key);
  [[nodiscard]] Result<void> remove(const RecordKey& key);

  struct About {
    std::uint64_t version = 0;
    std::int64_t changed_unix_ms = 0;
  };
  [[nodiscard]] const std::map<RecordKey, About>& records() const { return records_; }

 private:
  Store(net::FileSystem& files, const Sealer& sealer) : files_(files), sealer_(sealer) {}
  Result<void> read_name(const std::string& file);

  net::FileSystem& files_;
  const Sealer& sealer_;
  std::map<RecordKey, About> records_;
};

// A record's file, both ways; what the fuzzer drives. Errors: kCorrupt.
struct RecordFile {
  RecordName name;
  std::int64_t changed_unix_ms = 0;
  std::string sealed;
};
[[nodiscard]] std::string record_file(const RecordFile& record);
[[nodiscard]] Result<RecordFile> parse_record_file(std::string_view bytes);

}  // namespace gatehouse::vault
