// SPDX-License-Identifier: Apache-2.0
#include "backup/archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/encoding.h"

namespace gatehouse::backup {
namespace {

constexpr std::size_t kPiece = std::size_t{1024} * 1024;  // bytes at a time

Failure changed(const Member& member) {
  return failure(Error::kCorrupt,
                 fmt::format("the backup is damaged: the contents of {} are not those that were "
                             "backed up; nothing was restored. Take another copy of it, or "
                             "another backup",
                             printable(member.path)));
}

Result<void> write_all(int file, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failure_from_errno(errno, "writing " + what);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Fewer only at the end of the file.
Result<std::string> read_at(int file, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n =
        pread(file, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure_from_errno(errno, "reading");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

// Reads a member's contents once and gives them to `take`. Errors: kCorrupt.
template <class Take>
Result<void> read_contents(int file, const Member& member, Take take) {
  Digester digester;
  for (std::uint64_t done = 0; done < member.stored;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, member.stored - done));
    const std::string bytes = TRY(read_at(file, member.offset + done, size));
    if (bytes.size() != size) return changed(member);
    digester.add(bytes);
    TRY(take(bytes));
    done += size;
  }
  if (digester.sha256() != member.sha256) return changed(member);
  return {};
}

std::string digest_of(std::string_view header, std::string_view manifest) {
  Digester digester;
  digester.add(header);
  digester.add(manifest);
  return digester.sha256();
}

}  // namespace

struct Digester::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free};
};
Digester::Digester() : state_(std::make_unique<State>()) {
  CHECK(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Digester::~Digester() = default;
void Digester::add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}
std::string Digester::sha256() {
  std::string out(kDigestSize, '\0');
  CHECK(EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(out.data()),
                           nullptr)
        == 1);
  return out;
}

Result<std::unique_ptr<Writer>> Writer::create(const std::string& path) {
  if (access(path.c_str(), F_OK) == 0) {
    return failure(Error::kConflict, path + " exists already and is left as it is; name another");
  }
  const std::string partial = path + ".partial";
  net::Descriptor file(
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open() && errno == EEXIST) {
    return failure(Error::kConflict,
                   partial + " is there, of a backup under way or one that broke off; remove it if "
                             "none is under way");
  }
  if (!file.is_open()) return failure_from_errno(errno, "making " + partial);
  auto writer = std::unique_ptr<Writer>(new Writer(path, std::move(file)));
  TRY(writer->write(header_bytes()));
  return writer;
}

Writer::~Writer() {
  if (!is_finished_) unlink((path_ + ".partial").c_str());
}

Result<void> Writer::write(std::string_view bytes) {
  TRY(write_all(file_.get(), bytes, path_));
  at_ += bytes.size();
  return {};
}

Result<void> Writer::add(Member member) {
  if (members_.size() >= kMembersMost) {
    return failure(Error::kExhausted,
                   fmt::format("a backup has at most {} members; move some of the volumes' files "
                               "away",
                               kMembersMost));
  }
  members_.push_back(std::move(member));
  return {};
}

Result<void> Writer::add_bytes(Member member, std::string_view bytes) {
  Digester digester;
  digester.add(bytes);
  member.offset = at_;
  member.stored = bytes.size();
  member.size = std::max<std::uint64_t>(member.size, bytes.size());
  member.sha256 = digester.sha256();
  TRY(write(bytes));
  return add(std::move(member));
}

Result<void> Writer::add_contents(Member member, int file) {
  Digester digester;
  member.offset = at_;
  while (member.stored < member.size) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, member.size - member.stored));
    const std::string bytes = TRY(read_at(file, member.stored, size));
    if (bytes.empty()) break;
    digester.add(bytes);
    TRY(write(bytes));
    member.stored += bytes.size();
  }
  member.size = member.stored;
  member.sha256 = digester.sha256();
  return add(std::move(member));
}

bool Writer::has(std::string_view path) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const Member& member) { return member.path == path; });
}

Result<std::uint64_t> Writer::finish(Manifest manifest) {
  manifest.members = std::move(members_);
  const std::string bytes = manifest_bytes(manifest);
  const Trailer trailer{at_, bytes.size(), digest_of(header_bytes(), bytes)};
  TRY(write(bytes));
  TRY(write(trailer_bytes(trailer)));
  const std::string partial = path_ + ".partial";
  if (fsync(file_.get()) != 0) return failure_from_errno(errno, "syncing " + partial);
  // Not over a file that has come since.
  if (link(partial.c_str(), path_.c_str()) != 0) {
    return failure_from_errno(errno, "naming the backup " + path_);
  }
  unlink(partial.c_str());
  is_finished_ = true;
  const std::size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const net::Descriptor at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at.is_open() || fsync(at.get()) != 0) return failure_from_errno(errno, "syncing " + folder);
  return at_;
}

Result<Archive> Archive::open(const std::string& path) {
  net::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about{};
  if (!file.is_open() || fstat(file.get(), &about) != 0) {
    return failure_from_errno(errno, "opening " + path);
  }
  if (!S_ISREG(about.st_mode)) return failure(Error::kInvalid, path + " is no file");
  const auto size = static_cast<std::uint64_t>(about.st_size);
  const std::string header = TRY(read_at(file.get(), 0, kHeaderSize));
  TRY(check_header(header));
  const std::uint64_t trailer_at = size < kTrailerSize ? 0 : size - kTrailerSize;
  const Trailer trailer =
      TRY(parse_trailer(TRY(read_at(file.get(), trailer_at, kTrailerSize)), size));
  const std::string bytes = TRY(read_at(file.get(), trailer.offset, trailer.size));
  if (digest_of(header, bytes) != trailer.sha256) {
    return failure(Error::kCorrupt,
                   "the backup is damaged: its manifest was changed; nothing was restored. Take "
                   "another copy of it, or another backup");
  }
  Manifest manifest = TRY(parse_manifest(bytes, trailer.offset));
  for (const Member& member : manifest.members) {
    if (member.type != Type::kFile) continue;
    TRY(read_contents(file.get(), member, [](std::string_view) { return Result<void>(); }));
  }
  return Archive(std::move(file), std::move(manifest));
}

Result<void> Archive::copy(const Member& member, int to) const {
  TRY(read_contents(file_.get(), member, [&](std::string_view bytes) {
    return write_all(to, bytes, printable(member.path));
  }));
  if (ftruncate(to, static_cast<off_t>(member.size)) != 0) {
    return failure_from_errno(errno, "writing " + printable(member.path));
  }
  return {};
}

}  // namespace gatehouse::backup
