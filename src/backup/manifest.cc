// SPDX-License-Identifier: Apache-2.0
#include "backup/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "base/encoding.h"
#include "ipc/codec.h"

namespace gatehouse::backup {
namespace {

constexpr std::string_view kHeaderMagic = "GHBACKUP";
constexpr std::string_view kTrailerMagic = "GHBKPEND";
constexpr std::uint32_t kModeMost = 07777;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}
template <class T>
T get(std::string_view bytes, std::size_t at) {
  T value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);  // little-endian, as the machines are
  return value;
}
bool all_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

Failure damaged(std::string_view what) {
  return failure(Error::kCorrupt,
                 fmt::format("the backup is damaged: {}; nothing was restored. Take another copy "
                             "of it, or another backup",
                             what));
}

// Plain names, one below the other.
bool is_path(std::string_view path) {
  if (path.empty() || path.size() > 4096 || path.contains('\0')) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

// Only volumes have links, and only they may be of any shape.
bool belongs(const Member& member) {
  constexpr std::array<std::string_view, 5> kDirectories = {"state", "vault", "audit", "volumes",
                                                            "run"};
  const std::string_view path = member.path;
  if (path == ".") return member.type == Type::kDirectory;
  if (path == "gatehouse.yaml") return member.type == Type::kFile;
  const std::size_t slash = path.find('/');
  const std::string_view first = path.substr(0, slash);
  if (std::find(kDirectories.begin(), kDirectories.end(), first) == kDirectories.end()) {
    return false;
  }
  if (slash == std::string_view::npos) return member.type == Type::kDirectory;
  if (first == "volumes") return true;
  return member.type == Type::kFile && path.find('/', slash + 1) == std::string_view::npos;
}

// Why a member cannot be one; "" when it can. `at` is where its contents have to begin.
std::string_view fault_of(const Member& member, std::uint64_t at, std::uint64_t contents_end) {
  if (member.path != "." && !is_path(member.path)) return "it has no path";
  if (member.type > Type::kLink) return "it is of an unknown type";
  if (!belongs(member)) return "a data directory has no such member";
  if (member.mode > kModeMost) return "it has an unknown mode";
  const bool is_file = member.type == Type::kFile;
  if (!is_file && (member.stored != 0 || member.size != 0 || !member.sha256.empty())) {
    return "it has contents, and is no file";
  }
  if ((member.type == Type::kLink) == (member.target.empty() || member.target.contains('\0'))) {
    return "its target is that of no link";
  }
  if (!is_file) return "";
  if (member.sha256.size() != kDigestSize) return "it has no digest";
  if (member.offset != at || member.stored > contents_end - at) return "its contents lie elsewhere";
  if (member.stored > member.size || member.size > kFileMost) return "its size cannot be";
  return "";
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

std::string header_bytes() {
  std::string out(kHeaderMagic);
  put(out, kFormat);
  out.resize(kHeaderSize, '\0');
  return out;
}

Result<void> check_header(std::string_view bytes) {
  if (bytes.size() != kHeaderSize || !bytes.starts_with(kHeaderMagic)) {
    return failure(Error::kCorrupt,
                   "this is no backup of a gatehouse, or its beginning is damaged");
  }
  const auto format = get<std::uint32_t>(bytes, kHeaderMagic.size());
  if (format == 0 || !all_zero(bytes.substr(kHeaderMagic.size() + sizeof format))) {
    return damaged("its header was changed");
  }
  if (format > kFormat) {
    return newer_format(kBackupFormat, format);
  }
  return {};
}

std::string trailer_bytes(const Trailer& trailer) {
  std::string out(kTrailerMagic);
  put(out, trailer.offset);
  put(out, trailer.size);
  out += trailer.sha256;
  out.resize(kTrailerSize, '\0');
  return out;
}

Result<Trailer> parse_trailer(std::string_view bytes, std::uint64_t file_size) {
  constexpr std::size_t kDigestAt = 24;
  if (bytes.size() != kTrailerSize || !bytes.starts_with(kTrailerMagic)) {
    return damaged("it does not end as one does: it was cut, or was never finished");
  }
  Trailer out{get<std::uint64_t>(bytes, 8), get<std::uint64_t>(bytes, 16),
              std::string(bytes.substr(kDigestAt, kDigestSize))};
  if (out.size > kManifestMost || out.offset < kHeaderSize || out.offset > file_size
      || out.offset + out.size + kTrailerSize != file_size
      || !all_zero(bytes.substr(kDigestAt + kDigestSize))) {
    return damaged("its end was changed, or a part is missing");
  }
  return out;
}

std::string manifest_bytes(Manifest& manifest) { return ipc::encode(manifest); }

Result<Manifest> parse_manifest(std::string_view bytes, std::uint64_t contents_end) {
  if (contents_end < kHeaderSize) return damaged("its manifest lies in its header");
  auto manifest = ipc::decode<Manifest>(bytes);
  if (!manifest) return damaged("its manifest cannot be read");
  if (manifest->members.size() > kMembersMost) return damaged("it has too many members");
  std::unordered_set<std::string> paths;
  std::unordered_set<std::string> directories;
  std::uint64_t at = kHeaderSize;
  for (const Member& member : manifest->members) {
    std::string_view fault = fault_of(member, at, contents_end);
    if (fault.empty() && !paths.insert(member.path).second) fault = "it is there twice";
    if (fault.empty() && member.path != "." && !directories.contains(parent_of(member.path))) {
      fault = "what it lies in does not come before it";
    }
    if (!fault.empty()) {
      return damaged(fmt::format("member {}: {}", printable(member.path), fault));
    }
    if (member.type == Type::kDirectory) directories.insert(member.path);
    at += member.stored;
  }
  if (at != contents_end) return damaged("there are bytes that belong to no member");
  return *std::move(manifest);
}

}  // namespace gatehouse::backup
