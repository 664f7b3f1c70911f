// SPDX-License-Identifier: Apache-2.0
#include "net/sim_file.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <utility>

namespace gatehouse::net {
namespace {

constexpr std::uint64_t kSector = 512;

// What was done to a file and not synced yet: a write, or the size that it was cut to.
struct Change {
  std::uint64_t offset = 0;
  std::string bytes;
  bool is_cut = false;
};

struct Content {
  std::string now;      // as processes see it
  std::string durable;  // as it is on the disk
  std::vector<Change> unsynced;
};
using Node = std::shared_ptr<Content>;

void overlay(std::string& text, const Change& change) {
  if (change.is_cut) {
    text.resize(change.offset, '\0');
    return;
  }
  const std::size_t end = change.offset + change.bytes.size();
  if (text.size() < end) text.resize(end, '\0');
  text.replace(change.offset, change.bytes.size(), change.bytes);
}

// What was done to a directory and not synced yet. An empty `to` is a removal, an empty `from` a
// creation.
struct Renaming {
  std::string from;
  std::string to;
  Node node;
};

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? "" : std::string(path.substr(0, slash));
}

Failure dead() { return failure(Error::kClosed, "the simulated disk has no power"); }

class Disk final : public SimFileSystem {
 public:
  explicit Disk(std::uint64_t seed) : random_(seed) {}

  // --- for files

  Result<void> operate() {
    if (!is_on_) return dead();
    ++operations_;
    if (operations_ != crash_at_) return {};
    pull_the_plug();
    return dead();
  }
  // For a write or a sync; true: it is to fail.
  bool is_due_to_fail() { return fail_after_ > 0 && --fail_after_ == 0; }
  [[nodiscard]] Failure planned_failure() const { return failure(fail_code_, "a planned failure"); }
  [[nodiscard]] bool is_alive(std::uint64_t life) const { return is_on_ && life == life_; }
  void settle(Content& content) {
    for (const Change& change : content.unsynced) survive(content.durable, change);
    content.unsynced.clear();
  }

  // --- SimFileSystem

  void pull_the_plug() override {
    is_on_ = false;
    ++life_;
    for (Renaming& renaming : unsynced_) {
      if (coin()) apply(durable_, renaming);
    }
    unsynced_.clear();
    std::map<Content*, bool> done;
    for (auto* tree : {&durable_, &now_}) {
      for (auto& [path, node] : *tree) {
        if (!done.emplace(node.get(), true).second) continue;
        settle(*node);
        node->now = node->durable;
      }
    }
    now_ = durable_;
  }
  void restart() override {
    is_on_ = true;
    crash_at_ = 0;
  }
  void crash_at(std::uint64_t operation) override { crash_at_ = operation; }
  void fail_after(std::uint64_t operations, Error::Code code) override {
    fail_after_ = operations;
    fail_code_ = code;
  }
  [[nodiscard]] std::uint64_t operations() const override { return operations_; }

  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override;
  Result<std::unique_ptr<File>> open_uncached(std::string_view path, OpenMode mode) override;

  Result<std::vector<std::string>> list(std::string_view directory) override {
    if (!is_on_) return dead();
    std::vector<std::string> names;
    const std::string prefix =
        directory.empty() || directory == "." ? "" : std::string(directory) + "/";
    for (const auto& [path, node] : now_) {
      if (!path.starts_with(prefix)) continue;
      const std::string rest = path.substr(prefix.size());
      if (!rest.contains('/')) names.push_back(rest);
    }
    return names;
  }
  Result<void> make_directory(std::string_view) override {
    return operate();  // directories are there: what is tested is what lies in them
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    TRY(operate());
    const auto found = now_.find(std::string(from));
    if (found == now_.end()) return missing(from);
    return change({std::string(from), std::string(to), found->second});
  }
  Result<void> remove(std::string_view path) override {
    TRY(operate());
    const auto found = now_.find(std::string(path));
    if (found == now_.end()) return missing(path);
    return change({std::string(path), "", found->second});
  }
  Result<void> sync_directory(std::string_view directory) override {
    TRY(operate());
    const std::string wanted(directory == "." ? "" : directory);
    std::vector<Renaming> left;
    for (Renaming& renaming : unsynced_) {
      const bool here = parent_of(renaming.from.empty() ? renaming.to : renaming.from) == wanted
                        || (!renaming.to.empty() && parent_of(renaming.to) == wanted);
      if (here) {
        apply(durable_, renaming);
      } else {
        left.push_back(std::move(renaming));
      }
    }
    unsynced_ = std::move(left);
    return {};
  }

 private:
  using Tree = std::map<std::string, Node>;

  static Failure missing(std::string_view path) {
    return failure(Error::kNotFound, "there is no " + std::string(path));
  }
  static void apply(Tree& tree, const Renaming& renaming) {
    if (!renaming.from.empty()) tree.erase(renaming.from);
    if (!renaming.to.empty()) tree[renaming.to] = renaming.node;
  }
  Result<Node> node_of(std::string_view path, OpenMode mode);
  Result<void> change(Renaming renaming) {
    apply(now_, renaming);
    unsynced_.push_back(std::move(renaming));
    return {};
  }
  void survive(std::string& durable, const Change& change) {
    if (change.is_cut) {
      if (coin()) overlay(durable, change);
      return;
    }
    for (std::uint64_t at = 0; at < change.bytes.size();) {
      const std::uint64_t sector_end = ((change.offset + at) / kSector + 1) * kSector;
      const std::uint64_t size =
          std::min<std::uint64_t>(sector_end - change.offset - at, change.bytes.size() - at);
      if (coin()) overlay(durable, {change.offset + at, change.bytes.substr(at, size), false});
      at += size;
    }
  }
  bool coin() { return (random_() & 1) != 0; }

  std::mt19937_64 random_;
  Tree now_;
  Tree durable_;
  std::vector<Renaming> unsynced_;
  bool is_on_ = true;
  std::uint64_t life_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t crash_at_ = 0;
  std::uint64_t fail_after_ = 0;
  Error::Code fail_code_ = Error::kExhausted;

  friend class OpenFile;
};

class OpenFile : public File {
 public:
  OpenFile(Disk& disk, Node node, bool writable)
      : disk_(disk), node_(std::move(node)), writable_(writable), life_(disk.life_) {}

  Result<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    if (!disk_.is_alive(life_)) return dead();
    if (offset >= node_->now.size()) return std::string();
    return node_->now.substr(offset, size);
  }
  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    return change({offset, std::string(bytes), false});
  }
  Result<void> truncate(std::uint64_t size) override { return change({size, "", true}); }
  Result<void> sync() override {
    if (!disk_.is_alive(life_)) return dead();
    TRY(disk_.operate());
    if (disk_.is_due_to_fail()) {
      disk_.settle(*node_);
      return disk_.planned_failure();
    }
    for (const Change& change : node_->unsynced) overlay(node_->durable, change);
    node_->unsynced.clear();
    return {};
  }
  Result<std::uint64_t> size() override {
    if (!disk_.is_alive(life_)) return dead();
    return node_->now.size();
  }

 protected:
  Result<void> change(Change change) {
    if (!disk_.is_alive(life_)) return dead();
    if (!writable_) return failure(Error::kDenied, "the file is open for reading only");
    // What is under way when the power fails may be written in part.
    if (const Result<void> alive = disk_.operate(); !alive) {
      return alive;
    }
    if (disk_.is_due_to_fail()) return disk_.planned_failure();
    overlay(node_->now, change);
    node_->unsynced.push_back(std::move(change));
    return {};
  }

  Disk& disk_;
  Node node_;
  bool writable_;
  std::uint64_t life_;
};

// Writes whole blocks: what stands before a write in its first one, and zeros behind it in its
// last.
class OpenUncachedFile final : public OpenFile {
 public:
  using OpenFile::OpenFile;
  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    constexpr std::size_t kBlock = FileSystem::kBlock;
    std::string blocks = TRY(read_at(offset / kBlock * kBlock, offset % kBlock));
    blocks.resize(offset % kBlock, '\0');
    blocks += bytes;
    blocks.resize((blocks.size() + kBlock - 1) / kBlock * kBlock, '\0');
    return change({offset / kBlock * kBlock, std::move(blocks), false});
  }
};

Result<std::unique_ptr<File>> Disk::open(std::string_view path, OpenMode mode) {
  return std::make_unique<OpenFile>(*this, TRY(node_of(path, mode)), mode != OpenMode::kRead);
}
Result<std::unique_ptr<File>> Disk::open_uncached(std::string_view path, OpenMode mode) {
  return std::make_unique<OpenUncachedFile>(*this, TRY(node_of(path, mode)),
                                            mode != OpenMode::kRead);
}

Result<Node> Disk::node_of(std::string_view path, OpenMode mode) {
  if (!is_on_) return dead();
  if (path.empty() || path.front() == '/' || path.contains("..") || path.contains('\0')) {
    return failure(Error::kInvalid, "a path stays below the root");
  }
  const auto found = now_.find(std::string(path));
  if (found != now_.end()) {
    if (mode == OpenMode::kCreateNew) {
      return failure(Error::kConflict, std::string(path) + " is there already");
    }
    return found->second;
  }
  if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) return missing(path);
  TRY(operate());
  const auto node = std::make_shared<Content>();
  TRY(change({"", std::string(path), node}));
  return node;
}

}  // namespace

std::uint64_t crash_seeds(std::uint64_t usual) {
  const char* wanted = std::getenv("GATEHOUSE_CRASH_SEEDS");
  return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

std::unique_ptr<SimFileSystem> make_sim_file_system(std::uint64_t seed) {
  return std::make_unique<Disk>(seed);
}

}  // namespace gatehouse::net
