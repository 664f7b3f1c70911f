// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/volume.h"

namespace gatehouse::sandbox {
namespace {

Failure broken(std::string_view step) {
  return failure(Error::kUnsupported,
                 fmt::format("the sandbox's files: {}: {}", step, std::strerror(errno)));
}

Result<net::Descriptor> detach(int directory, const char* path, std::uint64_t attributes) {
  const unsigned recursive = attributes == 0 ? 0U : AT_RECURSIVE;
  net::Descriptor tree(static_cast<int>(syscall(
      SYS_open_tree, directory, path,
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive | (*path == '\0' ? AT_EMPTY_PATH : 0U))));
  if (!tree.is_open()) return broken(fmt::format("taking {}", path));
  mount_attr attr{};
  attr.attr_set = attributes;
  attr.propagation = MS_PRIVATE;
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | recursive, &attr, sizeof attr)
      != 0) {
    return broken(fmt::format("closing {}", path));
  }
  return tree;
}

constexpr std::uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr std::uint64_t kWritable = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// Below the volume without following anything: what lies there was written by an agent.
Result<net::Descriptor> open_beneath(int volume, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  net::Descriptor fd(
      static_cast<int>(syscall(SYS_openat2, volume, path.c_str(), &how, sizeof how)));
  if (!fd.is_open()) return broken("opening " + path + " in the home volume");
  return fd;
}

// What is not there could be made by the agent: an empty file is put there, and what is above it.
Result<void> make_guarded(int volume, const std::string& file, std::uint32_t owner) {
  net::Descriptor parent = TRY(open_beneath(volume, ".", O_RDONLY | O_DIRECTORY));
  const auto give = [owner](int directory, const std::string& name) {
    return fchownat(directory, name.c_str(), owner, owner, AT_SYMLINK_NOFOLLOW) == 0;
  };
  std::size_t begin = 0;
  for (std::size_t slash = file.find('/'); slash != std::string::npos;
       begin = slash + 1, slash = file.find('/', begin)) {
    const std::string name = file.substr(begin, slash - begin);
    if (mkdirat(parent.get(), name.c_str(), 0755) == 0) {
      if (!give(parent.get(), name)) return broken("giving " + file);
    } else if (errno != EEXIST) {
      return broken("making what is above " + file);
    }
    parent = TRY(open_beneath(parent.get(), name, O_RDONLY | O_DIRECTORY));
  }
  const std::string name = file.substr(begin);
  const net::Descriptor made(openat(parent.get(), name.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (made.is_open()) return give(parent.get(), name) ? Result<void>() : broken("giving " + file);
  if (errno != EEXIST) return broken("making " + file);
  return {};
}

// A file that the agent must not change is a mount of its own, and so is each directory above it: a
// mount point can be neither removed nor renamed, so that no other file can be slipped into its
// place.
Result<void> guard(int volume, const std::string& file, std::uint32_t owner,
                   std::vector<Piece>& guarded) {
  TRY(make_guarded(volume, file, owner));
  for (std::size_t slash = file.find('/'); slash != std::string::npos;
       slash = file.find('/', slash + 1)) {
    const std::string directory = file.substr(0, slash);
    const std::string target = fmt::format("{}/{}", kHome, directory);
    bool known = false;
    for (const Piece& piece : guarded) known = known || piece.target == target;
    if (known) continue;
    const net::Descriptor at = TRY(open_beneath(volume, directory, O_PATH | O_DIRECTORY));
    guarded.push_back({TRY(detach(at.get(), "", kWritable)), target, true});
  }
  const net::Descriptor at = TRY(open_beneath(volume, file, O_PATH));
  guarded.push_back(
      {TRY(detach(at.get(), "", kReadOnly)), fmt::format("{}/{}", kHome, file), false});
  return {};
}

Result<void> make_target(const std::string& path, bool is_directory) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST)
      return broken("making " + path);
  }
  if (is_directory) {
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return broken("making " + path);
    return {};
  }
  const net::Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.is_open()) return broken("making " + path);
  return {};
}

Result<void> put(const Piece& piece, const std::string& root, bool make) {
  const std::string target = root + piece.target;
  if (make) TRY(make_target(target, piece.is_directory));
  if (syscall(SYS_move_mount, piece.tree.get(), "", AT_FDCWD, target.c_str(),
              MOVE_MOUNT_F_EMPTY_PATH)
      != 0) {
    return broken("placing " + piece.target);
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  TRY(make_target(path, false));
  const net::Descriptor file(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!file.is_open()
      || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return broken("writing " + path);
  }
  return {};
}

Result<void> mount_new(const char* type, const std::string& target, unsigned long flags,
                       const std::string& data) {
  TRY(make_target(target, true));
  if (mount(type, target.c_str(), type, flags, data.c_str()) != 0)
    return broken("mounting " + target);
  return {};
}

Result<void> write_etc(const Plan& plan, const std::string& root) {
  TRY(write_file(root + "/etc/passwd",
                 fmt::format("root:x:0:0:root:/root:/usr/sbin/nologin\n"
                             "agent:x:{0}:{0}:agent:{1}:/bin/bash\n"
                             "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                             kUidInside, kHome)));
  TRY(write_file(root + "/etc/group",
                 fmt::format("root:x:0:\nagent:x:{}:\nnogroup:x:65534:\n", kUidInside)));
  TRY(write_file(root + "/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"));
  TRY(write_file(root + "/etc/hostname", "sandbox\n"));
  TRY(write_file(root + "/etc/resolv.conf",
                 "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"));
  TRY(write_file(
      root + "/etc/nsswitch.conf",
      "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"));
  TRY(write_file(root + "/etc/shells", "/bin/sh\n/bin/bash\n"));
  return write_file(root + std::string(kBundle), plan.ca_bundle_pem);
}

}  // namespace

Result<Pieces> take_pieces(const Plan& plan) {
  Pieces pieces;
  const auto take = [&](const std::string& source, const std::string& target) -> Result<void> {
    struct stat about{};
    if (stat(source.c_str(), &about) != 0) return broken("the toolbox path " + source);
    pieces.toolbox.push_back(
        {TRY(detach(AT_FDCWD, source.c_str(), kReadOnly)), target, S_ISDIR(about.st_mode)});
    return {};
  };
  TRY(take("/usr", "/usr"));
  // What Debian's tools look for in /etc and holds no secret.
  for (const char* path :
       {"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
        "/etc/localtime", "/etc/protocols", "/etc/services", "/etc/mime.types", "/etc/bash.bashrc",
        "/etc/profile", "/etc/ssl/openssl.cnf"}) {
    if (access(path, R_OK) == 0) TRY(take(path, path));
  }
  for (const ipc::ReadOnlyPath& tool : plan.toolbox) TRY(take(tool.source, tool.target));
  for (const char* device :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    // No attribute: a mount without devices would make them useless.
    pieces.devices.push_back({TRY(detach(AT_FDCWD, device, 0)), device, false});
  }
  const net::Descriptor volume = TRY(open_volume(plan));
  pieces.home = {TRY(detach(volume.get(), "", kWritable)), std::string(kHome), true};
  for (const std::string& file : plan.read_only_files) {
    TRY(guard(volume.get(), file, plan.host_uid, pieces.guarded));
  }
  return pieces;
}

Result<void> enter_root(const Plan& plan, const Pieces& pieces) {
  const std::string root = "/tmp";  // any directory: the host's is out of sight from here on
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return broken("a private tree");
  if (mount("tmpfs", root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
            "size=4m,nr_inodes=4096,mode=0755")
      != 0) {
    return broken("a new root");
  }
  for (const Piece& piece : pieces.toolbox) TRY(put(piece, root, true));
  for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
    struct stat about{};
    if (lstat((std::string("/") + name).c_str(), &about) != 0 || !S_ISLNK(about.st_mode)) continue;
    if (symlink((std::string("usr/") + name).c_str(), (root + "/" + name).c_str()) != 0) {
      return broken("the usual links");
    }
  }
  TRY(write_etc(plan, root));
  TRY(mount_new("tmpfs", root + "/dev", MS_NOSUID | MS_NOEXEC, "size=64k,nr_inodes=64,mode=0755"));
  for (const Piece& piece : pieces.devices) TRY(put(piece, root, true));
  for (const auto& [target, name] :
       {std::pair("/proc/self/fd", "fd"), std::pair("/proc/self/fd/0", "stdin"),
        std::pair("/proc/self/fd/1", "stdout"), std::pair("/proc/self/fd/2", "stderr")}) {
    if (symlink(target, (root + "/dev/" + name).c_str()) != 0) return broken("links in /dev");
  }
  TRY(mount_new("tmpfs", root + "/dev/shm", MS_NOSUID | MS_NODEV, "size=256m,mode=1777"));
  if (plan.pty) {
    TRY(mount_new("devpts", root + "/dev/pts", MS_NOSUID | MS_NOEXEC,
                  "newinstance,ptmxmode=0666,mode=0620"));
    if (symlink("pts/ptmx", (root + "/dev/ptmx").c_str()) != 0) return broken("a terminal");
  }
  TRY(mount_new("tmpfs", root + "/tmp", MS_NOSUID | MS_NODEV,
                "size=1g,nr_inodes=200000,mode=1777"));
  TRY(mount_new("tmpfs", root + "/run", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=16m,mode=0755"));
  TRY(put(pieces.home, root, true));
  for (const Piece& piece : pieces.guarded) TRY(put(piece, root, false));
  TRY(mount_new("proc", root + "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "subset=pid,hidepid=invisible"));
  if (chdir(root.c_str()) != 0 || syscall(SYS_pivot_root, ".", ".") != 0
      || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return broken("the change of root");
  }
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  for (const char* closed : {"/", "/dev"}) {
    if (syscall(SYS_mount_setattr, AT_FDCWD, closed, 0, &attr, sizeof attr) != 0) {
      return broken("a read-only root");
    }
  }
  return {};
}

}  // namespace gatehouse::sandbox
