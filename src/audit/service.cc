// SPDX-License-Identifier: Apache-2.0
#include "audit/service.h"

#include "audit/entry.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/time.h"
#include "ipc/counters.h"

namespace gatehouse::audit {
namespace {

constexpr std::size_t kGroupMost =
    512 * 1024;  // above it a commit's time grows with its size (measured)

constexpr std::string_view kGateway = "gateway";

constexpr int kRecordsMost = 20'000;  // of one ring in a row
constexpr std::uint64_t kDroppedPerLine = 10'000;

// Who writes what: a captured gateway cannot put words into the vault's mouth.
bool may_write(std::string_view role, Kind kind) {
  switch (kind) {
    case Kind::kNote:
    case Kind::kGap:
    case Kind::kAlarm:
      return true;
    case Kind::kIntent:
    case Kind::kSettled:
    case Kind::kRefused:
      return role == "gateway";
    case Kind::kVaultUse:
      return role == "vault";
    case Kind::kKilled:
    case Kind::kRevived:
      return role == "supervisor";
    case Kind::kRunStarted:
    case Kind::kRunEnded:
    case Kind::kConfigChanged:
    case Kind::kTranscriptRead:
      return role == "control";
    case Kind::kAdministered:
      return role == "control" || role == "supervisor";  // who is told to read the config again
  }
  return false;
}

// Of one gateway; of more, as a captured one may have, the ends stay in doubt when it goes.
constexpr std::size_t kOpenBytesMost = 32 * 1024 * 1024;

// Errors: kInvalid, kDenied.
Result<Outline> checked(std::string_view bytes, std::string_view role) {
  const Result<Outline> entry = outline(bytes);
  if (!entry) return failure(Error::kInvalid, entry.error().message());
  if (entry->role != role || !may_write(role, entry->kind)) {
    return failure(Error::kDenied, std::string(role) + " may not write a "
                                       + std::string(name_of(entry->kind)) + " entry of "
                                       + printable(entry->role));
  }
  return entry;
}

Entry of_our_own(Kind kind, Entry entry) {
  entry.kind = kind;
  entry.role = "audit";
  entry.wall_ns = WallTime::now().unix_nanos();
  entry.monotonic_ns = Instant::now().since_boot().count();
  return entry;
}

}  // namespace

Result<std::uint64_t> Service::append(std::string_view entry, std::string_view role) {
  const Outline about = TRY(checked(entry, role));
  gather();  // a gateway wrote its Intent before it asked the vault
  const std::uint64_t sequence = TRY(log_->append(entry));
  outbox_.take(about.kind, entry);
  return sequence;
}

Result<void> Service::append_of(Ring& ring, std::string_view bytes) {
  const Outline entry = TRY(checked(bytes, ring.role));
  const std::uint64_t sequence = TRY(log_->append(bytes));
  outbox_.take(entry.kind, bytes);
  if (!entry.exchange) return {};
  if (entry.kind == Kind::kSettled) {
    const auto found = ring.open.find(*entry.exchange);
    if (found == ring.open.end()) return {};
    ring.open_bytes -= found->second.bytes;
    ring.open.erase(found);
  } else if (entry.kind == Kind::kIntent && ring.open_bytes + bytes.size() > kOpenBytesMost) {
    ++ring.forgotten;
  } else if (entry.kind == Kind::kIntent) {
    const auto [place, is_new] =
        ring.open.try_emplace(*entry.exchange, Ring::Open{sequence, bytes.size()});
    if (is_new) ring.open_bytes += bytes.size();
  }
  return {};
}

Result<std::uint64_t> Service::add_ring(std::unique_ptr<ipc::RingReader> ring,
                                        std::string_view role) {
  if (rings_.size() >= kRingsMost) return failure(Error::kTooMany, "there are enough audit rings");
  const auto place = role == kGateway ? rings_.begin() : rings_.end();
  rings_.insert(place, {next_ring_, std::move(ring), std::string(role)});
  return next_ring_++;
}

void Service::retire(std::uint64_t ring) {
  for (Ring& known : rings_) {
    if (known.number == ring) known.retired = true;
  }
}

// What does not belong into the log is dropped and said; the rest of the ring is taken.
void Service::take(Ring& ring, const ipc::RingReader::Record& record) {
  Result<void> taken;
  if (record.type == ipc::RecordType::kEntry) {
    taken = append_of(ring, record.bytes);
  } else if (ring.role != kGateway) {
    taken = failure(Error::kDenied, "a body that comes from the " + ring.role);
  } else if (auto piece = parse_body(record.bytes)) {
    piece->is_list = record.type == ipc::RecordType::kBodyList;
    taken = log_->append_body(*piece);
  } else {
    taken = failure(Error::kInvalid, "a piece of a body that is none");
  }
  if (taken) return;
  ++ring.dropped;
  if (dropped_++ % kDroppedPerLine == 0) {
    log_warning("records of a ring are dropped",
                {{"why", taken.error().message()}, {"so_far", dropped_}});
  }
}

Result<void> Service::settle(std::uint64_t intent) {
  Entry end = of_our_own(Kind::kSettled, TRY(decode(TRY(log_->read_gathered(intent)))));
  end.bodies.clear();
  end.add("state", "cut");
  end.add("reason", "its gateway ended while it was under way; how far it came is not known");
  const std::string bytes = TRY(encode(end));
  TRY(log_->append(bytes));
  outbox_.take(Kind::kSettled, bytes);
  return {};
}

void Service::settle_open(Ring& ring) {
  for (const auto& [exchange, open] : ring.open) {
    const Result<void> settled = settle(open.intent);
    if (!settled) {
      log_warning("an exchange that its gateway left stays in doubt",
                  {{"exchange", exchange.text()}, {"why", settled.error().message()}});
    }
  }
  ring.open.clear();
  ring.open_bytes = 0;
}

void Service::record_gap(const Ring& ring, std::uint64_t unread_bytes, std::string_view why) {
  if (unread_bytes == 0 && ring.dropped == 0 && ring.forgotten == 0) return;
  Entry gap = of_our_own(Kind::kGap, {});
  gap.add("reason", why);
  gap.add("bytes", std::to_string(unread_bytes));
  gap.add("records", std::to_string(ring.dropped));
  gap.add("in_doubt", std::to_string(ring.forgotten));
  const auto bytes = encode(gap);
  if (!bytes || !log_->append(*bytes)) {
    log_error("what a gateway's ring lost is not on record",
              {{"bytes", unread_bytes}, {"records", ring.dropped}});
  }
}

bool Service::drain(Ring& ring) {
  // However fast it is filled, the others have their turn.
  for (int i = 0; i < kRecordsMost && log_->gathered_bytes() < kGroupMost; ++i) {
    const bool is_enough = ring.role != kGateway && ring.reader->position() >= ring.until;
    if (is_enough && !ring.retired) return true;
    const Result<std::optional<ipc::RingReader::Record>> record = ring.reader->next();
    if (!record) {
      log_error("an audit ring broke the rules and is abandoned; its role passes nothing more",
                {{"of", ring.role}, {"why", record.error().message()}});
      settle_open(ring);
      record_gap(ring, ring.reader->unread(),
                 "a " + ring.role + "'s ring broke the rules and is abandoned");
      ++abandoned_;
      return false;
    }
    if (!*record && !ring.retired) return true;
    if (!*record) {
      settle_open(ring);
      record_gap(ring, 0, "a " + ring.role + " that is gone");
      return false;
    }
    take(ring, **record);
  }
  return true;
}

// What the vault tells of, a gateway wrote down its Intent of before: it stands before it in the
// log too, since of the vault's ring no more is taken than was there when the gateways' were looked
// at.
void Service::gather() {
  for (Ring& ring : rings_) ring.until = ring.reader->written();
  for (auto ring = rings_.begin(); ring != rings_.end();) {
    ring = drain(*ring) ? ring + 1 : rings_.erase(ring);
  }
}

Result<bool> Service::pump() {
  gather();
  if (log_->gathered_bytes() == 0) return false;
  const std::uint64_t before = log_->size();
  const Result<void> committed = log_->commit();
  last_group_ = log_->size() - before;
  cannot_write_ = !committed;
  ++(committed ? commits_ : failed_commits_);
  if (!committed) return Failure(committed.error());
  for (const Ring& ring : rings_) ring.reader->publish_durable();
  outbox_.release();
  log_->prepare();
  return true;
}

Result<void> Service::finish() {
  for (Ring& ring : rings_) ring.retired = true;
  while (TRY(pump())) {
  }
  return {};
}

ipc::CounterList Service::counters() const {
  ipc::CounterList list;
  list.counters = {{"entries", log_->size()},
                   {"commits", commits_},
                   {"commits.failed", failed_commits_},
                   {"cannot_write", cannot_write_ ? 1U : 0U},
                   {"gathered_bytes", log_->gathered_bytes()},
                   {"rings", rings_.size()},
                   {"rings.abandoned", abandoned_},
                   {"dropped", dropped_},
                   {"report.dropped", outbox_.dropped()}};
  ipc::add_process_counters(list);
  return list;
}

bool Service::prepare_to_sleep() {
  for (const Ring& ring : rings_) {
    if (!ring.reader->prepare_to_sleep()) return false;
  }
  return true;
}

bool Service::prepare_to_linger() {
  for (const Ring& ring : rings_) {
    if (ring.retired || !ring.reader->prepare_to_linger()) return false;
  }
  return true;
}

void Service::woken() {
  for (const Ring& ring : rings_) ring.reader->woken();
}

}  // namespace gatehouse::audit
