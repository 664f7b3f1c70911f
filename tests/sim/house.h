// SPDX-License-Identifier: Apache-2.0
// The whole house in one thread: audit, vault, courier, control and two gateways, each made of the
// parts that its process is made of, on one simulated Loop and simulated disks. What the supervisor
// and sandboxd do for them is done here. Everything follows from the seed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/random.h"
#include "ipc/kill_table.h"
#include "ipc/role.h"
#include "ipc/sandbox.h"
#include "net/sim_file.h"
#include "net/sim_loop.h"

namespace gatehouse::sim {

// Values that must stay where they belong; see World's oracle.
inline constexpr std::string_view kModelKey = "sk-canary-model-0123456789";
inline constexpr std::string_view kClientSecret = "cs-canary-client-0123456789";
inline constexpr std::string_view kRefreshPrefix = "rt-canary-";
inline constexpr std::string_view kAccessPrefix = "at-canary-";
inline constexpr std::string_view kRootKey = "root-canary-0123456789abcdefghij";  // 32 bytes

// Ports of the services outside, on 127.0.0.1 of the simulation.
inline constexpr std::uint16_t kModelPort = 8001;
inline constexpr std::uint16_t kCalendarPort = 8002;
inline constexpr std::uint16_t kToolsPort = 8003;
inline constexpr std::uint16_t kIssuerPort = 8004;

// One role that lives now. Its parts go in the order that its process would lose them in.
class Actor {
 public:
  virtual ~Actor() = default;
  ipc::Role& role() { return *role_; }
  virtual audit::Log* log() { return nullptr; }
  virtual const ipc::Permits* for_people() { return nullptr; }
  // What it still holds; all zero when nothing goes on.
  [[nodiscard]] virtual std::size_t held() { return 0; }

 protected:
  explicit Actor(net::SimLoop& loop) : role_(std::make_unique<ipc::Role>(loop)) {}
  std::unique_ptr<ipc::Role> role_;
};

// A Run's way in, as sandboxd keeps it: the listeners outlive a gateway.
struct SimDoor {
  ipc::OpenDoor open;
  std::string path;  // of the unix socket that stands for the explicit proxy
  std::vector<net::Descriptor> fds;
  std::vector<std::string> environment;
  net::Descriptor status;  // on which the warden would tell the exit status
};

class House {
 public:
  House(net::SimLoop& loop, std::uint64_t seed);
  ~House();

  // Starts the roles that are not there.
  void start();
  // As kill -9. Starts again after a moment, if `again`.
  void kill(const std::string& name, bool again = true);
  // Of the machine: every role ends, and what was not synced is lost or not.
  void lose_power();
  // Kills and disk failures end, everything is there, nothing is under way at the roles.
  void calm();
  // Every role leaves, in order.
  void stop();

  // The audit log's disk fails once, a few operations from now.
  void fail_audit_disk(Error::Code code);
  // The power goes right before the n-th next write or sync of that disk, for it alone until
  // `lose_power` takes the rest.
  void cut_power_at(const std::string& disk, std::uint64_t operations) {
    disks_.at(disk)->crash_at(disks_.at(disk)->operations() + operations);
    is_cut_ = true;
  }
  [[nodiscard]] bool has_lost_power() const { return is_cut_; }

  void kill_run(const RunId& run);
  void kill_all(bool killed);
  [[nodiscard]] bool is_killed(const RunId& run) const;
  // Not as one of all, which are revived.
  [[nodiscard]] bool is_killed_for_good(const RunId& run) const { return killed_.contains(run); }

  [[nodiscard]] bool is_up(const std::string& name) const { return actors_.contains(name); }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  // A person's line to control; null while it is away.
  [[nodiscard]] ipc::Channel* people() { return people_.get(); }
  // The Door of a Run; null when it has none.
  [[nodiscard]] SimDoor* door(const RunId& run);
  [[nodiscard]] std::size_t doors() const { return doors_.size(); }
  // Where control's admin API and the gateways' listener for agents outside of sandboxes are. Both
  // outlive those who accept there.
  [[nodiscard]] std::string admin_path() const { return folder_ + "/admin"; }
  [[nodiscard]] std::string attach_path() const { return folder_ + "/attach"; }
  void end_sandbox(const RunId& run);

  // How many Entries are on disk now; kUnknown while the disk is without power and nobody can look.
  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t durable_entries();
  // Whether the Intent of that span was among the first so many. Of what nobody could look at then,
  // the log that is left at the end tells.
  [[nodiscard]] bool was_durable(const std::string& span, std::uint64_t entries);
  [[nodiscard]] net::SimFileSystem& disk(const std::string& name) { return *disks_.at(name); }
  [[nodiscard]] std::size_t held();
  // Bytes from the vault to a gateway in which a canary was that no gateway may see.
  [[nodiscard]] const std::vector<std::string>& leaks() const { return leaks_; }
  // What was lost or may not have been written, since kills and power failures do that.
  std::uint64_t crashes = 0;
  std::uint64_t book_crashes = 0;  // of the audit role and the vault, whose Entries it writes

 private:
  struct Line;
  struct Supervised;
  void start_role(const std::string& name);
  void furnish(const std::string& name);
  void join(const std::string& a, const std::string& b);
  void attach(const std::string& to, const std::string& peer, net::Descriptor fd);
  void give(const std::string& to, const std::string& name, net::Descriptor fd);
  void hand(const std::string& to, ipc::Parcel parcel, net::Descriptor fd);
  void open_doors(const std::string& gateway);
  void publish_kills();
  net::Task<void> carry(std::shared_ptr<Line> line, bool forth);
  net::Task<Result<std::pair<ipc::SandboxCreated, std::vector<net::Descriptor>>>> create_sandbox(
      ipc::CreateSandbox create);
  void read_log();
  net::Task<Result<ipc::Done>> offer_door(std::string gateway, SimDoor* door);

  net::SimLoop& loop_;
  SeededRandom random_;
  std::string folder_;  // for the sockets of Doors
  std::vector<std::string> names_;
  std::map<std::string, std::unique_ptr<net::SimFileSystem>> disks_;
  std::unique_ptr<ipc::KillTableWriter> kill_table_;
  std::set<RunId> killed_;
  bool all_killed_ = false;
  std::map<std::string, net::Descriptor> bells_;
  ipc::Permits from_roles_;
  ipc::Permits from_control_;  // to sandboxd
  ipc::Permits nothing_;
  std::map<RunId, SimDoor> doors_;
  net::Descriptor admin_;
  net::Descriptor attach_;
  std::uint64_t next_door_ = 0;
  std::uint64_t power_failures_ = 0;  // the machine's boot_id
  bool is_cut_ = false;
  std::map<std::string, std::uint64_t> intents_;  // on disk: where, by span
  std::uint64_t intents_seen_ = 0;
  std::vector<std::string> leaks_;
  std::map<std::string, std::unique_ptr<Supervised>> supervised_;
  std::map<std::string, std::unique_ptr<Actor>> actors_;
  std::unique_ptr<ipc::Channel> people_;
  std::unique_ptr<ipc::Channel> people_at_control_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::sim
