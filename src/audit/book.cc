// SPDX-License-Identifier: Apache-2.0
#include "audit/book.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "audit/breach.h"
#include "base/log.h"
#include "ipc/any_audit.h"
#include "ipc/audit_exporter.h"

namespace gatehouse::audit {
namespace {

using net::Task;

constexpr Nanos kAppendMost = std::chrono::seconds(5);
// How long what nobody waits for waits for company: the end of an Exchange, a use in the vault.
constexpr Nanos kLingerMost = 1ms;
// After a group of so many Entries the next one grows for a while, so that syncing never takes most
// of a core.
constexpr std::uint64_t kSomeLoad = 8;
constexpr Nanos kPauseLeast = 100us;
constexpr Nanos kPauseMost = 500us;
constexpr std::uint64_t kLoad = 32;
constexpr Nanos kPauseUnderLoad = 1ms;
constexpr Nanos kBrokenPause = 1s;    // until it is tried again
constexpr Nanos kReportPause = 20ms;  // for company: the exporter's is nobody's wait
constexpr Nanos kReportAgain = 200ms;
constexpr Nanos kSleepMost = 50ms;  // a lost wake-up costs no more than this

// What wakes the pump, and what it tells after each commit.
struct Bells {
  net::Event* woken;
  net::Event* committed;
  std::string* broken;  // why the last commit failed; "" while they succeed
  bool* is_urgent;      // an Entry came that somebody waits for
};

Nanos pause_after(std::uint64_t entries, Nanos took) {
  if (entries < kSomeLoad) return Nanos(0);
  return entries >= kLoad ? kPauseUnderLoad : std::clamp(took, kPauseLeast, kPauseMost);
}

// While nobody waits for what there is.
Task<void> linger(net::Loop* loop, Service* service, Bells bells) {
  const Deadline until = loop->in(kLingerMost);
  while (!*bells.is_urgent && loop->now() < until.at() && service->prepare_to_linger()) {
    bells.woken->reset();
    (void)co_await bells.woken->wait(until);
    service->woken();
  }
  service->woken();
  *bells.is_urgent = false;
}

Task<void> pump(net::Loop* loop, Service* service, Bells bells) {
  net::Event* const woken = bells.woken;
  while (true) {
    const Instant began = loop->now();
    const Result<bool> worked = service->pump();
    if (!worked) {
      if (*bells.broken != worked.error().message()) {
        *bells.broken = worked.error().message();
        log_error("the audit log cannot be written; what needs it is refused until it can",
                  {{"why", *bells.broken}});
      }
      bells.committed->set();  // to those who wait too: it is not to be had now
      bells.committed->reset();
      co_await loop->sleep_for(kBrokenPause);
      continue;
    }
    if (!bells.broken->empty()) log_info("the audit log can be written again");
    bells.broken->clear();
    if (*worked) {
      bells.committed->set();
      bells.committed->reset();
      co_await loop->sleep_for(pause_after(service->last_group(), loop->now() - began));
    }
    if (service->log().gathered_bytes() == 0 && service->prepare_to_sleep()) {
      woken->reset();
      const Result<void> called = co_await woken->wait(loop->in(kSleepMost));
      service->woken();
      if (!called) continue;
    } else {
      co_await loop->sleep_for(Nanos(0));  // the other roles' Entries have their turn
    }
    co_await linger(loop, service, bells);
  }
}

// A ring's bell, in this task's own copy: the ring may be given up meanwhile.
struct Bell {
  net::Descriptor fd;
  std::uint64_t ring = 0;
};

Task<void> watch_ring(net::Loop* loop, Service* service, Bell bell, net::Event* woken) {
  while (co_await loop->wait_readable(bell.fd.get(), Deadline::never())) {
    woken->set();
    if (!ipc::take_rings(bell.fd.get()) || ipc::is_bell_dead(bell.fd.get())) break;
    co_await loop->sleep_for(Nanos(0));
  }
  service->retire(bell.ring);
  woken->set();
}

// Answers when the group that the Entry is in is on disk. While nothing can be written nothing is
// taken either: it would pile up.
Task<Result<ipc::Appended>> append(net::Loop* loop, Service* service, Bells bells,
                                   ipc::Append request, std::string role) {
  const auto refused = [&bells]() -> Failure {
    return failure(Error::kAuditUnavailable, "the audit log cannot be written: " + *bells.broken);
  };
  if (!bells.broken->empty()) co_return refused();
  const std::uint64_t sequence = CO_TRY(service->append(request.entry, role));
  const Deadline deadline = loop->in(kAppendMost);
  *bells.is_urgent = true;
  bells.woken->set();
  while (service->log().size() <= sequence) {
    if (!co_await bells.committed->wait(deadline)) {
      co_return failure(Error::kAuditUnavailable, "the log could not be written in time");
    }
    if (!bells.broken->empty()) co_return refused();
  }
  co_return ipc::Appended{sequence};
}

// Of the Entries with those sequences.
Task<Result<ipc::EntryPage>> read_page(Service* service,
                                       const std::vector<std::uint64_t>* sequences,
                                       std::uint64_t from) {
  constexpr std::size_t kPageMost = 40 * 1024;
  ipc::EntryPage page;
  std::size_t bytes = 0;
  for (const std::uint64_t sequence : *sequences) {
    if (sequence < from) continue;
    if (bytes > kPageMost) {
      page.next_sequence = sequence;
      break;
    }
    page.sequences.push_back(sequence);
    page.entries.push_back(CO_TRY(service->log().read(sequence)));
    bytes += page.entries.back().size();
    if (bytes > kPageMost
        && page.entries.size() > 1) {  // it does not fit any more: the next page's
      bytes -= page.entries.back().size();
      page.next_sequence = sequence;
      page.entries.pop_back();
      page.sequences.pop_back();
      break;
    }
  }
  co_return page;
}

Task<Result<ipc::BodyPiece>> read_body(Service* service, ipc::ReadBody request) {
  constexpr std::size_t kPieceMost = 48 * 1024;
  ObjectId object{};
  if (request.object.size() != object.size()) {
    co_return failure(Error::kInvalid, "an object's id has 16 bytes");
  }
  std::copy(request.object.begin(), request.object.end(), object.begin());
  ipc::BodyPiece piece;
  piece.total_bytes = CO_TRY(service->log().body_size(object));
  piece.bytes = CO_TRY(service->log().read_body(object, request.offset, kPieceMost));
  co_return piece;
}

Task<Result<ipc::RunsOfTrace>> find_trace(Service* service, ipc::FindTrace request) {
  ipc::RunsOfTrace found{service->log().with_trace(request.trace)};
  constexpr std::size_t kRunsMost = 1000;
  if (found.runs.size() > kRunsMost) found.runs.resize(kRunsMost, ipc::no_run());
  co_return found;
}

Task<Result<ipc::CounterList>> counters(const Service* service) { co_return service->counters(); }

// What is durable goes on to the exporter, one message at a time: what it does not take waits in
// the Outbox, which is bounded. While it is away, it is asked again now and then.
Task<void> report(ipc::Role* role, Outbox* outbox, net::Event* committed) {
  while (true) {
    std::vector<std::string> batch = outbox->next();
    if (batch.empty()) {
      (void)co_await committed->wait(Deadline::never());
      co_await role->loop().sleep_for(kReportPause);
      continue;
    }
    const auto taken = co_await role->call("exporter", ipc::Report{batch}, Deadline::never());
    if (taken) continue;
    outbox->put_back(std::move(batch));
    co_await role->loop().sleep_for(kReportAgain);
  }
}

struct Rings {
  Service* service;
  net::Loop* loop;
  net::Nursery* tasks;
  net::Event* woken;
};

Task<Result<ipc::Done>> take_ring(Rings rings, std::vector<net::Descriptor> fds,
                                  std::string_view role) {
  if (fds.size() != 2) co_return failure(Error::kInvalid, "a ring comes with two descriptors");
  auto ring = CO_TRY(ipc::RingReader::open(std::move(fds[0]), std::move(fds[1])));
  Bell bell{net::Descriptor(fcntl(ring->bell_fd(), F_DUPFD_CLOEXEC, 3))};
  if (!bell.fd.is_open()) co_return failure_from_errno(errno, "copying a ring's bell");
  bell.ring = CO_TRY(rings.service->add_ring(std::move(ring), role));
  rings.tasks->spawn(watch_ring(rings.loop, rings.service, std::move(bell), rings.woken));
  rings.woken->set();
  co_return ipc::Done{};
}

}  // namespace

class Book::Impl {
 public:
  Impl(ipc::Role& role, Service& service)
      : woken_(role.loop()), committed_(role.loop()), tasks_(role.loop()) {
    net::Loop* const loop = &role.loop();
    Service* const book = &service;
    const Bells bells{&woken_, &committed_, &broken_, &is_urgent_};
    using Fds = std::vector<net::Descriptor>;
    for (const char* peer : {"vault", "sandboxd", "supervisor", "control"}) {
      appenders_[peer].on<ipc::Append>([loop, book, bells, peer](ipc::Append request, Fds) {
        return append(loop, book, bells, std::move(request), peer);
      });
      role.serve(peer, appenders_[peer]);
    }
    ipc::Permits& control = appenders_["control"];
    control.on<ipc::ReadRun>([book](ipc::ReadRun request, Fds) {
      return read_page(book, &book->log().of_run(request.run), request.from_sequence);
    });
    control.on<ipc::ReadActs>([book](ipc::ReadActs request, Fds) {
      return read_page(book, &book->log().acts(), request.from_sequence);
    });
    control.on<ipc::ReadBody>(
        [book](ipc::ReadBody request, Fds) { return read_body(book, std::move(request)); });
    control.on<ipc::GetCounters>([book](ipc::GetCounters, Fds) { return counters(book); });
    control.on<ipc::FindTrace>(
        [book](ipc::FindTrace request, Fds) { return find_trace(book, request); });
    const Rings rings{book, loop, &tasks_, &woken_};
    gateway_.on<ipc::OfferRing>(
        [rings](ipc::OfferRing, Fds fds) { return take_ring(rings, std::move(fds), "gateway"); });
    appenders_["vault"].on<ipc::OfferRing>(
        [rings](ipc::OfferRing, Fds fds) { return take_ring(rings, std::move(fds), "vault"); });
    role.serve("gateway", gateway_);
    role.on_breach([this, book, loop](const std::string& peer, const Error& why) {
      const auto entry = encode(breach_entry("audit", peer, why, loop->wall(), loop->now()));
      const Result<std::uint64_t> taken =
          entry ? book->append(*entry, "audit") : Failure(entry.error());
      if (!taken) log_error("a breach is not on record", {{"why", taken.error().message()}});
      woken_.set();
    });
    role.serve("exporter", nothing_);
    role.on_peer("exporter", [this, book, &role](ipc::Channel&) {
      if (std::exchange(is_reporting_, true)) return;
      book->outbox().begin();
      tasks_.spawn(report(&role, &book->outbox(), &committed_));
    });
    tasks_.spawn(pump(loop, book, bells));
  }

 private:
  std::map<std::string, ipc::Permits> appenders_;
  ipc::Permits gateway_;
  ipc::Permits nothing_;
  bool is_reporting_ = false;
  net::Event woken_;
  net::Event committed_;
  std::string broken_;
  bool is_urgent_ = false;
  net::Nursery tasks_;  // last: its tasks use all the rest
};

Book::Book(ipc::Role& role, Service& service) : impl_(std::make_unique<Impl>(role, service)) {}
Book::~Book() = default;

}  // namespace gatehouse::audit
