// SPDX-License-Identifier: Apache-2.0
#include "control/vfs.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/random.h"
#include "base/time.h"

namespace gatehouse::control {
namespace {

constexpr int kSector = 512;

// What SQLite knows as a file; it gives us the memory, and we begin and end the C++ object in it.
struct Opened {
  sqlite3_file base{};
  net::FileSystem* files = nullptr;
  std::unique_ptr<net::File> file;
  bool is_new = false;  // its directory must be synced once

  static Opened& of(sqlite3_file* file) { return *reinterpret_cast<Opened*>(file); }
};

int code_of(const Error& error, int otherwise) {
  return error == Error::kExhausted ? SQLITE_FULL : otherwise;
}

int close_file(sqlite3_file* file) {
  Opened::of(file).~Opened();
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
  const auto wanted = static_cast<std::size_t>(size);
  const auto bytes = Opened::of(file).file->read_at(static_cast<std::uint64_t>(offset), wanted);
  if (!bytes) return SQLITE_IOERR_READ;
  std::memcpy(into, bytes->data(), bytes->size());
  if (bytes->size() == wanted) return SQLITE_OK;
  // SQLite asks for the rest to be zero.
  std::memset(static_cast<char*>(into) + bytes->size(), 0, wanted - bytes->size());
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  const std::string_view bytes(static_cast<const char*>(from), static_cast<std::size_t>(size));
  const auto done = Opened::of(file).file->write_at(static_cast<std::uint64_t>(offset), bytes);
  return done ? SQLITE_OK : code_of(done.error(), SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  const auto done = Opened::of(file).file->truncate(static_cast<std::uint64_t>(size));
  return done ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int sync_file(sqlite3_file* file, int) {
  Opened& opened = Opened::of(file);
  if (!opened.file->sync()) return SQLITE_IOERR_FSYNC;
  if (!opened.is_new) return SQLITE_OK;
  if (!opened.files->sync_directory("")) return SQLITE_IOERR_DIR_FSYNC;
  opened.is_new = false;
  return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  const auto known = Opened::of(file).file->size();
  if (!known) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*known);
  return SQLITE_OK;
}

int lock_file(sqlite3_file*, int) { return SQLITE_OK; }
int is_reserved(sqlite3_file*, int* out) {
  *out = 0;
  return SQLITE_OK;
}
int control_file(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_of(sqlite3_file*) { return kSector; }
int traits_of(sqlite3_file*) { return 0; }

// Version 1: no shared memory, which WAL under an exclusive lock does not need.
constexpr sqlite3_io_methods kMethods = {
    1,         close_file, read_file,   write_file,   truncate_file, sync_file, size_of_file,
    lock_file, lock_file,  is_reserved, control_file, sector_of,     traits_of, nullptr,
    nullptr,   nullptr,    nullptr,     nullptr,      nullptr};

net::FileSystem& files_of(sqlite3_vfs* vfs) {
  return *static_cast<net::FileSystem*>(vfs->pAppData);
}

bool is_there(net::FileSystem& files, const char* path) {
  return files.open(path, net::OpenMode::kRead).has_value();
}

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto* opened = new (file) Opened;
  opened->files = &files_of(vfs);
  if (path == nullptr) return SQLITE_CANTOPEN;  // temporary files are kept in memory
  const bool may_create = (flags & SQLITE_OPEN_CREATE) != 0;
  opened->is_new = may_create && !is_there(*opened->files, path);
  auto found =
      opened->files->open(path, may_create ? net::OpenMode::kCreate : net::OpenMode::kReadWrite);
  if (!found) {
    opened->~Opened();
    file->pMethods = nullptr;
    return SQLITE_CANTOPEN;
  }
  opened->file = std::move(*found);
  opened->base.pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  const auto removed = files_of(vfs).remove(path);
  if (!removed) {
    return removed.error() == Error::kNotFound ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
  }
  if (sync_directory != 0 && !files_of(vfs).sync_directory("")) return SQLITE_IOERR_DIR_FSYNC;
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* path, int, int* out) {
  *out = is_there(files_of(vfs), path) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
  const std::size_t length = std::strlen(path) + 1;  // with its NUL
  if (length > static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(out, path, length);
  return SQLITE_OK;
}

int randomness(sqlite3_vfs*, int size, char* out) {
  fill_random({reinterpret_cast<std::uint8_t*>(out), static_cast<std::size_t>(size)});
  return size;
}

int pause(sqlite3_vfs*, int microseconds) { return microseconds; }
int last_error(sqlite3_vfs*, int, char*) { return 0; }

// In milliseconds since noon of 24 November 4714 before our era, as SQLite counts.
int current_time(sqlite3_vfs*, double* out) {
  constexpr double kUnixEpochDays = 2440587.5;
  constexpr double kDayMillis = 86'400'000.0;
  *out = kUnixEpochDays + static_cast<double>(WallTime::now().unix_millis()) / kDayMillis;
  return SQLITE_OK;
}

}  // namespace

class Vfs::Impl {
 public:
  explicit Impl(net::FileSystem& files) : name(fmt::format("gatehouse-{}", fmt::ptr(this))) {
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(Opened);
    vfs.mxPathname = 512;
    vfs.zName = name.c_str();
    vfs.pAppData = &files;
    vfs.xOpen = open_file;
    vfs.xDelete = delete_file;
    vfs.xAccess = access_file;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = randomness;
    vfs.xSleep = pause;
    vfs.xCurrentTime = current_time;
    vfs.xGetLastError = last_error;
    sqlite3_vfs_register(&vfs, 0);
  }
  ~Impl() { sqlite3_vfs_unregister(&vfs); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::string name;
  sqlite3_vfs vfs{};
};

Vfs::Vfs(net::FileSystem& files) : impl_(std::make_unique<Impl>(files)) {}
Vfs::~Vfs() = default;
const std::string& Vfs::name() const { return impl_->name; }

}  // namespace gatehouse::control
