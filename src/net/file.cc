// SPDX-License-Identifier: Apache-2.0
#include "net/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "net/descriptor.h"

namespace gatehouse::net {
namespace {

class RealFile : public File {
 public:
  RealFile(Descriptor fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Result<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const ssize_t got =
          ::pread(fd_.get(), bytes.data() + have, size - have, static_cast<off_t>(offset + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure_from_errno(errno, "reading " + name_);
      if (got == 0) break;
      have += static_cast<std::size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }
  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t put =
          ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failure_from_errno(errno, "writing " + name_);
      bytes.remove_prefix(static_cast<std::size_t>(put));
      offset += static_cast<std::size_t>(put);
    }
    return {};
  }
  Result<void> sync() override {
    if (::fdatasync(fd_.get()) != 0) return failure_from_errno(errno, "syncing " + name_);
    return {};
  }
  Result<std::uint64_t> size() override {
    struct stat about{};
    if (::fstat(fd_.get(), &about) != 0) return failure_from_errno(errno, "asking of " + name_);
    return static_cast<std::uint64_t>(about.st_size);
  }
  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      return failure_from_errno(errno, "truncating " + name_);
    }
    return {};
  }

 private:
  Descriptor fd_;
  std::string name_;
};

// Blocks that begin and end where the disk's do, as O_DIRECT asks for (open(2)).
class Blocks {
 public:
  static constexpr std::size_t kSize = 1024 * 1024;
  Blocks() : bytes_(static_cast<char*>(std::aligned_alloc(FileSystem::kBlock, kSize))) {
    CHECK(bytes_ != nullptr);
  }
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() { std::free(bytes_); }
  [[nodiscard]] char* data() const { return bytes_; }

 private:
  char* bytes_;
};

constexpr std::size_t whole_blocks(std::size_t size) {
  return (size + FileSystem::kBlock - 1) / FileSystem::kBlock * FileSystem::kBlock;
}

// Reads by way of the page cache, from which the kernel takes what is written past it.
class UncachedFile : public File {
 public:
  UncachedFile(std::unique_ptr<File> cached, Descriptor direct, std::string name)
      : cached_(std::move(cached)), direct_(std::move(direct)), name_(std::move(name)) {}

  Result<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    return cached_->read_at(offset, size);
  }
  Result<void> sync() override { return cached_->sync(); }
  Result<std::uint64_t> size() override { return cached_->size(); }
  Result<void> truncate(std::uint64_t size) override {
    last_ = UINT64_MAX;
    return cached_->truncate(size);
  }

  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    if (are_blocks(offset, bytes) && direct_.is_open()) {
      last_ = UINT64_MAX;
      if (TRY(put(offset, bytes))) return {};
    }
    while (!bytes.empty() && direct_.is_open()) {
      const std::size_t lead = offset % kBlock;
      const std::size_t size = std::min(bytes.size(), Blocks::kSize - lead);
      TRY(fill(offset - lead, lead));
      const std::size_t end = whole_blocks(lead + size);
      std::memcpy(blocks_.data() + lead, bytes.data(), size);
      std::memset(blocks_.data() + lead + size, 0, end - lead - size);
      if (!TRY(put(offset - lead, {blocks_.data(), end}))) break;
      bytes.remove_prefix(size);
      offset += size;
      keep_last(offset, lead + size);
    }
    return cached_->write_at(offset, bytes);  // what is left
  }

 private:
  static constexpr std::size_t kBlock = FileSystem::kBlock;

  static bool are_blocks(std::uint64_t offset, std::string_view bytes) {
    return (offset | bytes.size() | reinterpret_cast<std::uintptr_t>(bytes.data())) % kBlock == 0;
  }
  // The bytes of the block at `offset` that stand before what is written now.
  Result<void> fill(std::uint64_t offset, std::size_t size) {
    if (size == 0 || (offset == last_ && size == last_size_)) return {};
    const std::string before = TRY(read_at(offset, size));
    std::memset(blocks_.data(), 0, size);
    std::memcpy(blocks_.data(), before.data(), before.size());
    return {};
  }
  void keep_last(std::uint64_t end, std::size_t used) {
    last_size_ = end % kBlock;
    last_ = end - last_size_;
    std::memmove(blocks_.data(), blocks_.data() + used - last_size_, last_size_);
  }
  // False where the file system takes no such writes.
  Result<bool> put(std::uint64_t offset, std::string_view blocks) {
    while (!blocks.empty()) {
      const ssize_t put =
          ::pwrite(direct_.get(), blocks.data(), blocks.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && errno == EINVAL) direct_.reset();
      if (!direct_.is_open()) return false;
      if (put < 0) return failure_from_errno(errno, "writing " + name_);
      const std::size_t whole = static_cast<std::size_t>(put) / kBlock * kBlock;
      if (whole == 0) return failure(Error::kExhausted, "writing " + name_ + ": not all of it");
      blocks.remove_prefix(whole);
      offset += whole;
    }
    return true;
  }

  std::unique_ptr<File> cached_;
  Descriptor direct_;
  std::string name_;
  Blocks blocks_;  // what is written now; between writes its start has what is kept of the last
  std::uint64_t last_ = UINT64_MAX;
  std::size_t last_size_ = 0;
};

class RealFileSystem : public FileSystem {
 public:
  RealFileSystem(Descriptor root, std::string name)
      : root_(std::move(root)), name_(std::move(name)) {}

  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override {
    std::uint64_t flags = mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
    if (mode == OpenMode::kCreate) flags |= O_CREAT;
    if (mode == OpenMode::kCreateNew) flags |= O_CREAT | O_EXCL;
    Descriptor fd = TRY(open_beneath(path, flags, 0600));
    return std::make_unique<RealFile>(std::move(fd), name_ + "/" + std::string(path));
  }
  Result<std::unique_ptr<File>> open_uncached(std::string_view path, OpenMode mode) override {
    std::unique_ptr<File> cached = TRY(open(path, mode));
    auto direct = open_beneath(path, O_RDWR | O_DIRECT, 0);
    if (!direct) return cached;
    return std::make_unique<UncachedFile>(std::move(cached), *std::move(direct),
                                          name_ + "/" + std::string(path));
  }
  Result<std::vector<std::string>> list(std::string_view directory) override {
    Descriptor fd = TRY(open_beneath(directory, O_RDONLY | O_DIRECTORY, 0));
    DIR* stream = ::fdopendir(fd.get());
    if (stream == nullptr) return failure_from_errno(errno, "listing " + std::string(directory));
    static_cast<void>(fd.release());  // the stream owns it now
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
  }
  Result<void> make_directory(std::string_view path) override {
    const Place place = TRY(place_of(path));
    if (::mkdirat(place.parent.get(), place.name.c_str(), 0700) != 0 && errno != EEXIST) {
      return failure_from_errno(errno, "making " + std::string(path));
    }
    return {};
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    const Place source = TRY(place_of(from));
    const Place target = TRY(place_of(to));
    if (::renameat(source.parent.get(), source.name.c_str(), target.parent.get(),
                   target.name.c_str())
        != 0) {
      return failure_from_errno(errno, "renaming " + std::string(from));
    }
    return {};
  }
  Result<void> remove(std::string_view path) override {
    const Place place = TRY(place_of(path));
    if (::unlinkat(place.parent.get(), place.name.c_str(), 0) != 0) {
      return failure_from_errno(errno, "removing " + std::string(path));
    }
    return {};
  }
  Result<void> sync_directory(std::string_view directory) override {
    const Descriptor fd = TRY(open_beneath(directory, O_RDONLY | O_DIRECTORY, 0));
    if (::fsync(fd.get()) != 0)
      return failure_from_errno(errno, "syncing " + std::string(directory));
    return {};
  }

 private:
  struct Place {
    Descriptor parent;
    std::string name;
  };

  // openat2(2): the kernel refuses a path that leaves the root or passes through a symbolic link.
  [[nodiscard]] Result<Descriptor> open_beneath(std::string_view path, std::uint64_t flags,
                                                std::uint64_t mode) const {
    if (path.contains('\0')) return failure(Error::kInvalid, "a path with a NUL byte");
    open_how how{};
    how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
    how.mode = (flags & O_CREAT) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const std::string text(path.empty() ? "." : path);
    const long fd = ::syscall(SYS_openat2, root_.get(), text.c_str(), &how, sizeof how);
    if (fd >= 0) return Descriptor(static_cast<int>(fd));
    const std::string what = "opening " + name_ + "/" + text;
    if (errno == EXDEV || errno == ELOOP) {
      return failure(Error::kInvalid, what + ": it leads out of the directory");
    }
    return failure_from_errno(errno, what);
  }
  [[nodiscard]] Result<Place> place_of(std::string_view path) const {
    const std::size_t slash = path.rfind('/');
    const std::string_view parent = slash == std::string_view::npos ? "." : path.substr(0, slash);
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (name.empty() || name == "." || name == ".." || path.contains('\0')) {
      return failure(Error::kInvalid, "not the name of a file: " + std::string(path));
    }
    return Place{TRY(open_beneath(parent, O_RDONLY | O_DIRECTORY, 0)), std::string(name)};
  }

  Descriptor root_;
  std::string name_;
};

}  // namespace

Result<std::unique_ptr<FileSystem>> open_file_system(std::string root) {
  Descriptor fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return failure_from_errno(errno, "opening " + root);
  return std::make_unique<RealFileSystem>(std::move(fd), std::move(root));
}

Result<void> replace_file(FileSystem& files, std::string_view path, std::string_view bytes) {
  const std::string temporary = std::string(path) + ".new";
  {
    auto file = TRY(files.open(temporary, OpenMode::kCreate));
    TRY(file->truncate(0));
    TRY(file->write_at(0, bytes));
    TRY(file->sync());
  }
  TRY(files.rename(temporary, path));
  const std::size_t slash = path.rfind('/');
  return files.sync_directory(slash == std::string_view::npos ? "." : path.substr(0, slash));
}

Result<std::string> read_file(FileSystem& files, std::string_view path, std::uint64_t most) {
  auto file = TRY(files.open(path, OpenMode::kRead));
  const std::uint64_t size = TRY(file->size());
  if (size > most)
    return failure(Error::kTooLarge, std::string(path) + " is larger than it can be");
  return file->read_at(0, size);
}

}  // namespace gatehouse::net
