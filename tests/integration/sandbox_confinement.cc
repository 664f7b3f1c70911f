// SPDX-License-Identifier: Apache-2.0
// The cell's walls, each tried from inside by an act that works outside, and looked at from
// outside.
#include <linux/landlock.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "cell.h"
#include "sandbox/filter.h"

namespace gatehouse::sandbox {
namespace {

using Told = std::map<std::string, std::string>;

// `name: text` lines.
Told told_by(const std::string& out) {
  Told told;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) told[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return told;
}

// Says for each act what became of it: `done`, or the errno's name.
constexpr const char* kPython = R"(
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def tell(name, act):
    try:
        act()
        print(f'{name}: done', flush=True)
    except OSError as error:
        print(f'{name}: {errno.errorcode[error.errno]}', flush=True)
def call(name, number, *arguments):
    def act():
        given = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        if libc.syscall(ctypes.c_long(number), *given) < 0:
            raise OSError(ctypes.get_errno(), '')
    tell(name, act)
def family(name, *arguments):
    call(name, 41, *arguments)
)";

class Walls : public Cell {
 protected:
  // Runs Python acts that tell their outcome by name.
  Told acts(const std::string& script) {
    const Outcome outcome = run({"/usr/bin/python3", "-c", kPython + script});
    EXPECT_EQ(outcome.refused, "");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return told_by(outcome.out);
  }
};

TEST_F(Walls, NoNamespaceIsTheHosts) {
  const Outcome outcome = shell(
      "for n in mnt pid net ipc uts user cgroup; do echo \"$n: $(readlink /proc/self/ns/$n)\"; "
      "done");
  Told inside = told_by(outcome.out);
  for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "user", "cgroup"}) {
    const std::string outside =
        std::filesystem::read_symlink(std::string("/proc/self/ns/") + name).string();
    EXPECT_TRUE(inside[name].starts_with(std::string(name) + ":[")) << outcome.err;
    EXPECT_NE(inside[name], outside);
  }
}

TEST_F(Walls, RootIsNobodyInside) {
  const Outcome outcome = shell("cat /proc/self/uid_map; cat /proc/self/gid_map; id -u; id -G");
  std::istringstream lines(outcome.out);
  for (const char* map : {"uid_map", "gid_map"}) {
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    lines >> inside >> outside >> count;
    EXPECT_EQ(inside, kUidInside) << map;
    EXPECT_GE(outside, host_paths().first_uid) << map;
    EXPECT_TRUE(outside != 0 || is_rootless()) << "the host's root is nobody here";
    EXPECT_EQ(count, 1u) << map << " holds no other uid, and no uid 0";
  }
  std::string rest((std::istreambuf_iterator<char>(lines)), {});
  EXPECT_EQ(rest, "\n1000\n1000\n") << "one line in each map, and no other group";
  Told told = acts("call('setuid(0)', 105, 0)\ncall('setgid(0)', 106, 0)\n");
  EXPECT_EQ(told["setuid(0)"], "EINVAL") << "there is no such uid";
  EXPECT_EQ(told["setgid(0)"], "EINVAL");
}

TEST_F(Walls, TheNetworkIsNotTheSandboxsOwn) {
  look = [](pid_t pid) -> std::string {
    const std::string folder = "/proc/" + std::to_string(pid) + "/ns/";
    const net::Descriptor network(open((folder + "net").c_str(), O_RDONLY | O_CLOEXEC));
    const net::Descriptor owner(ioctl(network.get(), NS_GET_USERNS));
    if (!owner.is_open()) return std::string("NS_GET_USERNS: ") + std::strerror(errno);
    return "owner: "
           + std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(owner.get())).string()
           + "\nown: " + std::filesystem::read_symlink(folder + "user").string();
  };
  const Outcome outcome = run({"/bin/true"});
  Told seen = told_by(outcome.seen);
  EXPECT_EQ(seen["owner"], std::filesystem::read_symlink("/proc/self/ns/user").string())
      << outcome.seen;
  EXPECT_NE(seen["owner"], seen["own"]);
}

// By the kernel's own messages: `ip` and `nft` might give up before they ask.
TEST_F(Walls, TheNetworkCannotBeChanged) {
  Told told = acts(
      "def change(name, kind, flags, body):\n"
      "    def act():\n"
      "        with socket.socket(16, socket.SOCK_RAW, 0) as route:\n"
      "            route.send(struct.pack('=IHHII', 16 + len(body), kind, 5 | flags, 1, 0) + "
      "body)\n"
      "            code = -struct.unpack_from('=i', route.recv(4096), 16)[0]\n"
      "            if code: raise OSError(code, '')\n"
      "    tell(name, act)\n"
      "def attribute(kind, data): return struct.pack('=HH', 4 + len(data), kind) + data\n"
      "new = 0x600\n"
      "link = lambda index, flags: struct.pack('=BxHiII', 0, 0, index, flags, 1)\n"
      "dummy = attribute(18, attribute(1, b'dummy\\0\\0\\0'))\n"
      "ten = bytes([10, 9, 0, 0])\n"
      "index = struct.pack('=i', 1)\n"
      "change('a new interface', 16, new, link(0, 0) + dummy)\n"
      "change('lo down', 16, 0, link(1, 0))\n"
      "change('no lo', 17, 0, link(1, 0))\n"
      "change('an address', 20, new, struct.pack('=BBBBi', 2, 8, 0, 0, 1) + attribute(2, ten))\n"
      "local = struct.pack('=BBBBBBBBI', 2, 0, 0, 0, 255, 2, 254, 2, 0)\n"
      "route = struct.pack('=BBBBBBBBI', 2, 16, 0, 0, 254, 3, 253, 1, 0) + attribute(1, ten)\n"
      "change('a route', 24, new, route + attribute(4, index))\n"
      "change('no route', 25, 0, local + attribute(4, index))\n"
      "change('a rule', 32, new, struct.pack('=BBBBBBBBI', 2, 0, 0, 0, 7, 3, 0, 1, 0))\n"
      "change('a neighbour', 28, new, struct.pack('=BxHiHBB', 2, 0, 1, 2, 0, 1) + attribute(1, "
      "ten))\n");
  for (const auto& [name, outcome] : told) EXPECT_EQ(outcome, "EPERM") << name;
  EXPECT_EQ(told.size(), 8u);
  const Outcome rules = shell("nft flush ruleset");
  EXPECT_TRUE(rules.err.contains("Operation not permitted")) << rules.err;
  EXPECT_NE(rules.status, 0);
  EXPECT_NE(shell("ip link set lo down").status, 0);
}

TEST_F(Walls, ThereIsNoInterfaceButLo) {
  const Outcome outcome =
      run({"/usr/bin/python3", "-c", "import socket; print(socket.if_nameindex())"});
  EXPECT_EQ(outcome.out, "[(1, 'lo')]\n") << outcome.err;
}

TEST_F(Walls, ItsProcessHoldsNothing) {
  const Outcome outcome = shell("cat /proc/self/status; cat /proc/self/limits");
  Told facts;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(":\t");
    if (colon != std::string::npos) facts[line.substr(0, colon)] = line.substr(colon + 2);
  }
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(facts[set], "0000000000000000") << set;
  }
  EXPECT_EQ(facts["NoNewPrivs"], "1");
  EXPECT_EQ(facts["Seccomp"], "2");
  EXPECT_EQ(facts["Uid"], "1000\t1000\t1000\t1000");
}

TEST_F(Walls, CommandsOfTheAdministratorAreRefused) {
  for (const auto& [command, words] : std::initializer_list<std::pair<const char*, const char*>>{
           {"unshare -Ur true", "Operation not permitted"},
           {"unshare -n true", "Operation not permitted"},
           {"mount -t tmpfs x /tmp", "must be superuser"},
           {"mount -o remount,rw /", "must be superuser"},
           {"hostname evil", "must be root"},
           {"echo x > /usr/x", "Read-only file system"},
           {"echo x > /etc/passwd", "Read-only file system"},
           {"echo x > /bin/sh", "Read-only file system"},
           {"touch /dev/x", "Read-only file system"},
           {"echo x > /new", "Read-only file system"},
           {"mkdir /home/other", "Read-only file system"},
           {"mknod /tmp/disk b 8 0", "Operation not permitted"},
           {"mknod /tmp/memory c 1 1", "Operation not permitted"},
           {"chown 0 ~", "Invalid argument"},
           {"cat /etc/shadow", "No such file or directory"},
           {"cat /proc/1/environ", "No such file or directory"},
           {"echo x > /proc/1/exe", "No such file or directory"},
           {"ls /proc/1/root", "No such file or directory"},
           {"cat /proc/kallsyms", "No such file or directory"},
           {"echo 1 > /proc/sys/kernel/sysrq", "No such file or directory"},
           {"echo x > /sys/x", "No such file or directory"}}) {
    const Outcome outcome = shell(command);
    EXPECT_NE(outcome.status, 0) << command;
    EXPECT_TRUE(outcome.err.contains(words)) << command << ": " << outcome.err;
  }
}

TEST_F(Walls, ASetuidProgramOfRootGivesNothing) {
  const std::string tools = directory + "/tools";
  std::filesystem::create_directory(tools);
  std::filesystem::copy("/usr/bin/id", tools + "/id");
  ASSERT_EQ(chmod((tools + "/id").c_str(), 04755), 0);
  request.toolbox = {{tools, "/opt/tools"}};
  const Outcome outcome = shell("test -u /opt/tools/id && /opt/tools/id -u");
  EXPECT_EQ(outcome.out, "1000\n") << outcome.err;
  EXPECT_FALSE(shell("grep -v nosuid /proc/self/mountinfo | cut -d' ' -f5,6").out.contains("/home"))
      << "nor would one that it made itself";
}

TEST_F(Walls, WhatAProgramRarelyNeedsIsRefused) {
  // The numbers of x86-64. The arguments are such that the call would do something outside.
  Told told = acts(
      "call('ptrace of pid 1', 101, 16, 1, 0, 0)\n"
      "call('ptrace of itself', 101, 0, 0, 0, 0)\n"
      "call('process_vm_readv', 310, 1, 0, 0, 0, 0, 0)\n"
      "call('process_vm_writev', 311, 1, 0, 0, 0, 0, 0)\n"
      "call('pidfd_getfd', 438, 0, 0, 0)\n"
      "call('keyctl', 250, 0, -3, 1)\n"
      "call('add_key', 248, b'user', b'name', b'x', 1, -3)\n"
      "call('request_key', 249, b'user', b'name', 0, -3)\n"
      "call('bpf', 321, 0, bytes(64), 64)\n"
      "call('perf_event_open', 298, bytes(112), 0, -1, -1, 0)\n"
      "call('io_uring_setup', 425, 4, bytes(120))\n"
      "call('userfaultfd', 323, 1)\n"
      "call('memfd_secret', 447, 0)\n"
      "call('mount', 165, b'x', b'/tmp', b'tmpfs', 0, 0)\n"
      "call('umount', 166, b'/tmp', 2)\n"
      "call('pivot_root', 155, b'/tmp', b'/tmp')\n"
      "call('chroot', 161, b'/tmp')\n"
      "call('fsopen', 430, b'tmpfs', 0)\n"
      "call('open_tree', 428, -100, b'/', 1)\n"
      "call('move_mount', 429, -1, b'', -1, b'', 4)\n"
      "call('mount_setattr', 442, -100, b'/', 0, bytes(32), 32)\n"
      "call('open_by_handle_at', 304, -100, bytes(16), 0)\n"
      "call('name_to_handle_at', 303, -100, b'/', bytes(16), bytes(8), 0)\n"
      "call('unshare', 272, 0x10000000)\n"
      "call('setns', 308, 0, 0)\n"
      "call('clone of a user namespace', 56, 0x10000011, 0, 0, 0, 0)\n"
      "call('clone of a network namespace', 56, 0x40000011, 0, 0, 0, 0)\n"
      "call('clone3', 435, bytes(88), 88)\n"
      "call('init_module', 175, b'', 0, b'')\n"
      "call('finit_module', 313, 0, b'', 0)\n"
      "call('kexec_load', 246, 0, 0, 0, 0)\n"
      "call('reboot', 169, 0xfee1dead, 672274793, 0, 0)\n"
      "call('swapon', 167, b'/tmp', 0)\n"
      "call('sethostname', 170, b'evil', 4)\n"
      "call('settimeofday', 164, bytes(16), 0)\n"
      "call('clock_settime', 227, 0, bytes(16))\n"
      "call('acct', 163, 0)\n"
      "call('syslog', 103, 3, bytes(64), 64)\n"
      "call('quotactl', 179, 0, 0, 0, 0)\n"
      "call('iopl', 172, 3)\n"
      "call('personality of another system', 135, 8)\n"
      "call('a call that no kernel has', 999)\n");
  for (const auto& [name, outcome] : told) {
    EXPECT_EQ(outcome, name == "clone3" ? "ENOSYS" : "EPERM") << name;
  }
  EXPECT_EQ(told.size(), 42u);
}

TEST_F(Walls, ACallOfAnotherAbiEndsTheProcess) {
  const Outcome outcome = run({"/usr/bin/python3", "-c",
                               std::string(kPython) + "call('getpid of x32', 0x40000000 + 39)\n"});
  EXPECT_EQ(outcome.status, 128 + 31) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Walls, WordsCannotBePutIntoATerminal) {
  request.pty = true;
  const Outcome outcome = run({"/usr/bin/python3", "-c",
                               std::string(kPython)
                                   + "call('TIOCSTI', 16, 0, 0x5412, b'x')\n"
                                     "call('TIOCSTI with high bits', 16, 0, 0x100005412, b'x')\n"
                                     "call('TIOCLINUX', 16, 0, 0x541c, b'\\2')\n"
                                     "call('TIOCGWINSZ', 16, 0, 0x5413, bytes(8))\n"});
  for (const char* line : {"TIOCSTI: EPERM", "TIOCSTI with high bits: EPERM", "TIOCLINUX: EPERM",
                           "TIOCGWINSZ: done"}) {
    EXPECT_TRUE(outcome.out.contains(line)) << outcome.out;
  }
}

TEST_F(Walls, OnlyOrdinarySocketsAreMade) {
  Told told = acts(
      "family('unix', 1, 1, 0)\n"
      "family('tcp', 2, 1, 0)\n"
      "family('udp of IPv6', 10, 2 | 0o4000, 17)\n"
      "family('netlink of routes', 16, 3, 0)\n"
      "family('vsock', 40, 1, 0)\n"
      "family('vsock with high bits', 40 | 1 << 32, 1, 0)\n"
      "family('unix with high bits', 1 | 1 << 32, 1, 0)\n"
      "family('packet', 17, 3, 0x300)\n"
      "family('packet, cooked', 17, 2, 0x300)\n"
      "family('alg', 38, 5, 0)\n"
      "family('xdp', 44, 3, 0)\n"
      "family('key', 15, 3, 2)\n"
      "family('bluetooth', 31, 3, 1)\n"
      "family('can', 29, 3, 1)\n"
      "family('tipc', 30, 1, 0)\n"
      "family('rds', 21, 5, 0)\n"
      "family('smc', 43, 1, 0)\n"
      "family('raw', 2, 3, 1)\n"
      "family('raw of IPv6', 10, 3, 58)\n"
      "family('ping', 2, 2, 1)\n"
      "family('sctp', 2, 1, 132)\n"
      "family('mptcp', 2, 1, 262)\n"
      "family('udplite', 2, 2, 136)\n"
      "family('netlink of netfilter', 16, 3, 12)\n"
      "family('netlink of diag', 16, 3, 4)\n"
      "family('netlink of audit', 16, 3, 9)\n"
      "family('netlink of uevents', 16, 3, 15)\n"
      "family('netlink, generic', 16, 3, 16)\n"
      "def pair(): socket.socketpair(40)\n"
      "tell('pair of vsock', pair)\n");
  for (const char* usual : {"unix", "tcp", "udp of IPv6", "netlink of routes"}) {
    EXPECT_EQ(told[usual], "done") << usual;
    told.erase(usual);
  }
  for (const auto& [name, outcome] : told) EXPECT_EQ(outcome, "EPERM") << name;
  EXPECT_EQ(told.size(), 25u);
}

// Abstract sockets have no file that a mount could hide: the network namespace alone is between.
TEST_F(Walls, TheHostsAbstractSocketsAreNotThere) {
  const net::Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "gatehouse-walls-" + std::to_string(getpid());
  name.copy(address.sun_path + 1, name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  const net::Descriptor outside(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(outside.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  Told told = acts("def knock(): socket.socket(socket.AF_UNIX).connect('\\0" + name
                   + "')\ntell('the host', knock)\n");
  EXPECT_EQ(told["the host"], "ECONNREFUSED");
}

// A directory's descriptor that leaked would be a way past every mount.
TEST_F(Walls, NoDescriptorOfTheHostsIsLeft) {
  const Outcome outcome = run({"/usr/bin/python3", "-c",
                               "import os\nprint(sorted(int(f) for f in os.listdir('/proc/self/fd')"
                               " if os.path.exists('/proc/self/fd/' + f)))"});
  EXPECT_EQ(outcome.out, "[0, 1, 2]\n") << outcome.err;
}

// Inside, a read-only mount or the filter refuses first whatever Landlock would. That it is in
// force there is seen by the kernel's limit of sixteen layers: one is taken.
TEST_F(Walls, OneLayerOfLandlockIsInForce) {
  const std::string layers =
      "def layer():\n"
      "    ruleset = libc.syscall(444, struct.pack('=Q', 1), 8, 0)\n"
      "    if ruleset < 0: raise OSError(ctypes.get_errno(), '')\n"
      "    try:\n"
      "        if libc.syscall(446, ruleset, 0) < 0: raise OSError(ctypes.get_errno(), '')\n"
      "    finally: os.close(ruleset)\n"
      "libc.prctl(38, 1, 0, 0, 0)\n"
      "for number in range(1, 18): tell(str(number), layer)\n";
  Told inside = acts(layers);
  EXPECT_EQ(inside["15"], "done");
  EXPECT_EQ(inside["16"], "E2BIG");
}

// What its rules say, with no other lock about: by a root that may do everything else.
TEST_F(Walls, LandlockAloneHoldsEvenRoot) {
  const std::string mine = directory + "/mine";
  const std::string other = directory + "/other";
  for (const std::string& folder : {mine, other}) std::filesystem::create_directory(folder);
  std::ofstream(other + "/file") << "text";
  const auto error_of = [](bool done) { return done ? 0 : errno; };
  const auto opened = [&](const std::string& path, int flags) {
    return error_of(net::Descriptor(open(path.c_str(), flags | O_CLOEXEC, 0600)).is_open());
  };
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    std::string told;
    const auto tell = [&](const char* name, int error) {
      told += std::string(name) + ": " + (error == 0 ? "done" : strerrorname_np(error)) + "\n";
    };
    tell("confined", restrict_files({mine}) ? 0 : ENOTRECOVERABLE);
    tell("write mine", opened(mine + "/file", O_WRONLY | O_CREAT));
    tell("folder of mine", error_of(mkdir((mine + "/folder").c_str(), 0700) == 0));
    tell("read other", opened(other + "/file", O_RDONLY));
    tell("write other", opened(other + "/file", O_WRONLY));
    tell("truncate other", error_of(truncate((other + "/file").c_str(), 0) == 0));
    tell("make other", opened(other + "/new", O_WRONLY | O_CREAT));
    tell("folder of other", error_of(mkdir((other + "/folder").c_str(), 0700) == 0));
    tell("link other", error_of(symlink("file", (other + "/link").c_str()) == 0));
    tell("remove other", error_of(unlink((other + "/file").c_str()) == 0));
    tell("move from other",
         error_of(rename((other + "/file").c_str(), (mine + "/f").c_str()) == 0));
    tell("device of mine",
         error_of(mknod((mine + "/disk").c_str(), S_IFBLK | 0600, makedev(8, 0)) == 0));
    tell("/dev/null", opened("/dev/null", O_WRONLY));
    [[maybe_unused]] const ssize_t put = write(ends[1], told.data(), told.size());
    _exit(0);
  }
  close(ends[1]);
  std::array<char, 4096> text{};
  const ssize_t got = read(ends[0], text.data(), text.size());
  close(ends[0]);
  waitpid(child, nullptr, 0);
  Told told = told_by({text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))});
  for (const char* done : {"confined", "write mine", "folder of mine", "read other", "/dev/null"}) {
    EXPECT_EQ(told[done], "done") << done;
    told.erase(done);
  }
  EXPECT_EQ(told.size(), 8u);
  for (const auto& [name, outcome] : told) EXPECT_EQ(outcome, "EACCES") << name;
}

TEST_F(Walls, MemoryAndProcessesAreLimited) {
  request.memory_most_bytes = 128 << 20;
  const Outcome memory =
      run({"python3", "-c", "x = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1"});
  EXPECT_EQ(memory.status, 137) << memory.err;
  request.memory_most_bytes = 0;
  request.pids_most = 32;
  const Outcome bomb = shell("for i in $(seq 200); do sleep 5 & done 2>&1; echo alive");
  EXPECT_TRUE((bomb.out + bomb.err).contains("Resource temporarily unavailable"))
      << bomb.out << bomb.err;
}

TEST_F(Walls, SwapIsNoWayAroundTheLimitOnMemory) {
  request.memory_most_bytes = 128 << 20;
  look = [](pid_t pid) {
    std::string seen;
    std::ifstream groups("/proc/" + std::to_string(pid) + "/cgroup");
    for (std::string line; std::getline(groups, line);) {
      if (!line.contains(":memory:") && !line.starts_with("0::")) continue;
      const std::string path = line.substr(line.rfind(':') + 1);
      for (const std::string& file :
           {"/sys/fs/cgroup/memory" + path + "/memory.memsw.limit_in_bytes",
            "/sys/fs/cgroup" + path + "/memory.swap.max"}) {
        std::string value;
        if (seen.empty() && std::ifstream(file) >> value)
          seen = file.substr(file.rfind('/') + 1) + ": " + value;
      }
    }
    return seen;
  };
  const Outcome outcome = run({"/bin/true"});
  EXPECT_EQ(outcome.refused, "");
  if (outcome.seen.empty()) GTEST_SKIP() << "this kernel does not account swap";
  EXPECT_TRUE(outcome.seen == "memory.swap.max: 0"
              || outcome.seen == "memory.memsw.limit_in_bytes: " + std::to_string(128 << 20))
      << outcome.seen;
}

}  // namespace
}  // namespace gatehouse::sandbox
