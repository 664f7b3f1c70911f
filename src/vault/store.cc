// SPDX-License-Identifier: Apache-2.0
#include "vault/store.h"

#include <openssl/sha.h>

#include "base/encoding.h"
#include "base/format_version.h"
#include "ipc/codec.h"

namespace gatehouse::vault {
namespace {

constexpr std::string_view kMagic = kRecordFormat.magic;
constexpr std::uint64_t kFileMost = 256 * 1024;

// The file's content after the magic.
struct Body {
  std::string tenant;
  std::string user;
  std::string service;
  ipc::CredentialKind kind = ipc::CredentialKind::kStatic;
  std::uint64_t version = 0;
  std::int64_t changed_unix_ms = 0;
  std::string sealed;
  template <class F>
  void fields(F& f) {
    f(tenant, user, service, kind, version, changed_unix_ms, sealed);
  }
};

RecordName name_of(const RecordKey& key, std::uint64_t version) {
  return {std::get<0>(key), std::get<1>(key), std::get<2>(key), std::get<3>(key), version};
}

// A name that is the same for every version and tells an onlooker nothing but that.
std::string file_name(const RecordKey& key) {
  const std::string bytes = name_bytes(name_of(key, 0));
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return to_hex(digest) + ".sealed";
}

}  // namespace

std::string record_file(const RecordFile& record) {
  Body body{record.name.tenant,  record.name.user,       record.name.service, record.name.kind,
            record.name.version, record.changed_unix_ms, record.sealed};
  return std::string(kMagic) + ipc::encode(body);
}

Result<RecordFile> parse_record_file(std::string_view bytes) {
  if (const std::uint64_t later = later_version(bytes, kRecordFormat); later != 0) {
    return newer_format(kRecordFormat, later);
  }
  if (!bytes.starts_with(kMagic)) return failure(Error::kCorrupt, "this is no sealed record");
  auto body = ipc::decode<Body>(bytes.substr(kMagic.size()));
  if (!body || body->kind > ipc::CredentialKind::kOauthClientSecret) {
    return failure(Error::kCorrupt, "a sealed record that does not decode");
  }
  return RecordFile{{body->tenant, body->user, body->service, body->kind, body->version},
                    body->changed_unix_ms,
                    std::move(body->sealed)};
}

Result<std::unique_ptr<Store>> Store::open(net::FileSystem& files, const Sealer& sealer) {
  std::unique_ptr<Store> store(new Store(files, sealer));
  for (const std::string& file : TRY(files.list("."))) {
    if (!file.ends_with(".sealed")) continue;
    const Result<void> read = store->read_name(file);
    if (!read) return Failure(read.error().in("vault record " + file));
  }
  return store;
}

Result<void> Store::read_name(const std::string& file) {
  const RecordFile record = TRY(parse_record_file(TRY(net::read_file(files_, file, kFileMost))));
  const RecordKey key(record.name.tenant, record.name.user, record.name.service, record.name.kind);
  if (file_name(key) != file)
    return failure(Error::kCorrupt, "it holds another record than its name says");
  TRY(sealer_.open(record.name, record.sealed));
  records_[key] = {record.name.version, record.changed_unix_ms};
  return {};
}

Result<void> Store::put(const RecordKey& key, const Secret& value, std::int64_t now_unix_ms) {
  const auto found = records_.find(key);
  const std::uint64_t version = found == records_.end() ? 1 : found->second.version + 1;
  const RecordName name = name_of(key, version);
  TRY(net::replace_file(files_, file_name(key),
                        record_file({name, now_unix_ms, sealer_.seal(name, value)})));
  records_[key] = {version, now_unix_ms};
  return {};
}

Result<Secret> Store::get(const RecordKey& key) {
  const auto found = records_.find(key);
  if (found == records_.end()) return failure(Error::kNotFound, "the vault holds no such record");
  const RecordFile record =
      TRY(parse_record_file(TRY(net::read_file(files_, file_name(key), kFileMost))));
  // What is opened is what was asked for, of the version that was written last: not what the file
  // says it is.
  return sealer_.open(name_of(key, found->second.version), record.sealed);
}

Result<void> Store::remove(const RecordKey& key) {
  if (records_.erase(key) == 0) return failure(Error::kNotFound, "the vault holds no such record");
  TRY(files_.remove(file_name(key)));
  return files_.sync_directory(".");
}

}  // namespace gatehouse::vault
