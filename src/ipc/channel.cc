// SPDX-License-Identifier: Apache-2.0
#include "ipc/channel.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <unordered_map>

#include "base/log.h"
#include "ipc/frame.h"

namespace gatehouse::ipc {
namespace {

std::atomic<unsigned long> g_unpermitted{0};

constexpr std::size_t kPendingMost = 4096;  // requests asked and not yet answered, per side
constexpr std::size_t kOutMost = 64 * 1024 * 1024;
constexpr Nanos kWriteMost =
    std::chrono::seconds(10);  // a peer that takes nothing that long is gone

}  // namespace

unsigned long unpermitted_requests() { return g_unpermitted.load(std::memory_order_relaxed); }

class Channel::Impl {
 public:
  Impl(net::Loop& loop, std::unique_ptr<net::LocalStream> stream, std::string peer,
       const Permits& permits)
      : loop_(loop),
        stream_(std::move(stream)),
        peer_(std::move(peer)),
        permits_(permits),
        outgoing_(loop),
        closed_(loop),
        nursery_(loop) {
    nursery_.spawn(read_frames());
    nursery_.spawn(write_frames());
  }

  static net::Task<Result<Parcel>> exchange(std::shared_ptr<Impl> self, Parcel request,
                                            std::span<const int> fds, Deadline deadline) {
    if (self->closed_.is_set()) co_return Failure(self->gone());
    if (self->pending_.size() >= kPendingMost) {
      co_return failure(Error::kTooMany, "too many requests wait for " + self->peer_);
    }
    const std::uint64_t id = self->next_id_++;
    Pending mine(self->loop_);
    const Entry entry(*self, id, mine);
    std::vector<net::Descriptor>
        copies;  // the caller may close its own before the writer gets to them
    for (const int fd : fds) {
      copies.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
      if (!copies.back().is_open()) co_return failure_from_errno(errno, "copying a descriptor");
    }
    CO_TRY(self->enqueue({request.type, 0, id, request.payload}, std::move(copies)));
    wipe(request.payload);
    const Result<void> answered = co_await mine.answered.wait(deadline);
    if (!answered) {
      co_return failure(Error::kTimeout, self->peer_ + " did not answer before the deadline");
    }
    if (!mine.reply) co_return Failure(self->gone());
    if (mine.reply->type == Refused::kType) {
      const Refused refused = CO_TRY(decode<Refused>(mine.reply->payload));
      const auto code = refused.code <= Error::kTooSlow ? static_cast<Error::Code>(refused.code)
                                                        : Error::kInternal;
      co_return failure(code, refused.message);
    }
    co_return std::move(*mine.reply);
  }

  // The Channel is going. Not from inside a handler of its own.
  void abandon() {
    end();
    nursery_.cancel_all();
  }
  [[nodiscard]] bool is_open() const { return !closed_.is_set(); }
  [[nodiscard]] const std::string& peer() const { return peer_; }
  static net::Task<void> closed(std::shared_ptr<Impl> self) {
    (void)co_await self->closed_.wait(Deadline::never());
  }
  void on_breach(std::function<void(const Error&)> told) { breached_ = std::move(told); }

 private:
  struct Pending {
    explicit Pending(net::Loop& loop) : answered(loop) {}
    net::Event answered;
    std::optional<Parcel> reply;
  };
  // Takes the entry out on every path, cancellation included.
  struct Entry {
    Entry(Impl& owner, std::uint64_t correlation, Pending& pending) : impl(owner), id(correlation) {
      impl.pending_[id] = &pending;
    }
    ~Entry() { impl.pending_.erase(id); }
    Impl& impl;
    std::uint64_t id;
  };
  using Handed = std::vector<net::Descriptor>;
  struct WithFds {
    std::size_t offset;  // in `out_`, where the frame that they travel with begins
    std::vector<net::Descriptor> fds;
  };

  static void wipe(std::string& bytes) { gatehouse::wipe({bytes.data(), bytes.size()}); }
  [[nodiscard]] Error gone() const {
    return {Error::kUnavailable, "the connection to " + peer_ + " is gone"};
  }

  Result<void> enqueue(Frame frame, std::vector<net::Descriptor> fds) {
    if (fds.size() > kDescriptorsMost) {
      return failure(Error::kTooMany, "too many descriptors beside one control message");
    }
    if (out_.size() > kOutMost) {
      return failure(Error::kTooMany, peer_ + " takes nothing, and too much waits for it");
    }
    frame.descriptors = static_cast<std::uint8_t>(fds.size());
    const std::size_t offset = out_.size();
    TRY(append_frame(out_, frame));
    if (!fds.empty()) with_fds_.push_back({offset, std::move(fds)});
    outgoing_.set();
    return {};
  }

  net::Task<void> write_frames() {
    while (true) {
      if (out_.empty()) {
        outgoing_.reset();
        (void)co_await outgoing_.wait(Deadline::never());
      }
      std::string batch = std::exchange(out_, {});
      std::vector<WithFds> fds = std::exchange(with_fds_, {});
      const Result<void> written = co_await write_batch(batch, fds);
      wipe(batch);
      if (!written) {
        end();
        co_return;
      }
    }
  }
  // Frames with descriptors start a write of their own, so that the descriptors arrive with their
  // frame's bytes.
  net::Task<Result<void>> write_batch(const std::string& batch, const std::vector<WithFds>& fds) {
    std::string_view left = batch;
    std::size_t at = 0;
    for (const WithFds& item : fds) {
      if (item.offset > at) {
        CO_TRY(co_await stream_->write(left.substr(0, item.offset - at), loop_.in(kWriteMost)));
        left.remove_prefix(item.offset - at);
        at = item.offset;
      }
      std::vector<int> raw;
      for (const net::Descriptor& fd : item.fds) raw.push_back(fd.get());
      // Only the header's first byte carries them; the rest follows in order.
      CO_TRY(co_await stream_->write_with(left.substr(0, 1), raw, loop_.in(kWriteMost)));
      left.remove_prefix(1);
      at += 1;
    }
    co_return co_await stream_->write(left, loop_.in(kWriteMost));
  }

  net::Task<void> read_frames() {
    std::array<char, 16 * 1024> buffer;
    FrameReader reader;
    std::deque<Handed> waiting;  // arrived before their frame was whole
    Handed fds;
    while (true) {
      const auto got = co_await stream_->read_with(buffer, fds, Deadline::never());
      if (!got || *got == 0) break;
      reader.feed({buffer.data(), *got});
      gatehouse::wipe({buffer.data(), *got});
      if (!fds.empty()) waiting.push_back(std::exchange(fds, {}));
      const Result<void> taken = take_frames(reader, waiting);
      if (!taken) {
        log_warning("a control connection broke the rules and is closed",
                    {{"peer", peer_}, {"why", taken.error().message()}});
        if (breached_) breached_(taken.error());
        break;
      }
    }
    end();
  }

  // A read ends behind descriptors (unix(7)), and a frame has all of its own with its first byte:
  // each list is one frame's.
  Result<void> take_frames(FrameReader& reader, std::deque<Handed>& waiting) {
    Frame frame;
    while (TRY(reader.next(frame))) {
      Parcel parcel{frame.type, std::string(frame.payload), {}};
      bool is_lost = false;  // what came with it, for want of numbers
      if (frame.descriptors > 0) {
        if (!waiting.empty()) {
          parcel.fds = std::move(waiting.front());
          waiting.pop_front();
        }
        is_lost = parcel.fds.size() == 1 && !parcel.fds.front().is_open();
        if (!is_lost && parcel.fds.size() != frame.descriptors) {
          return failure(Error::kInvalid, "a message came without the descriptors it names");
        }
      }
      if ((frame.correlation & kReplyBit) != 0) {
        const auto found = pending_.find(frame.correlation & ~kReplyBit);
        if (found == pending_.end()) continue;  // its asker was cancelled
        found->second->reply = is_lost ? none_left() : std::move(parcel);
        found->second->answered.set();
        continue;
      }
      if (is_lost) log_warning("no descriptor is left for those of a message", {{"peer", peer_}});
      TRY(is_lost ? refuse(frame) : start_answer(frame.correlation, std::move(parcel)));
    }
    if (waiting.size() > 1) {
      return failure(Error::kInvalid, "descriptors came that no message names");
    }
    return {};
  }

  static Parcel none_left() {
    Refused refused{Error::kExhausted, "no descriptor is left for those of a message"};
    return parcel_of(refused);
  }
  // The connection goes on: whoever offered them may offer them again.
  Result<void> refuse(const Frame& frame) {
    if (!permits_.rows_.contains(frame.type)) return start_answer(0, {frame.type, "", {}});
    const Parcel refusal = none_left();
    return enqueue({refusal.type, 0, frame.correlation | kReplyBit, refusal.payload}, {});
  }

  Result<void> start_answer(std::uint64_t id, Parcel parcel) {
    const auto row = permits_.rows_.find(parcel.type);
    if (row == permits_.rows_.end() || !row->second.allowed_now()) {
      g_unpermitted.fetch_add(1, std::memory_order_relaxed);
      return failure(Error::kDenied,
                     fmt::format("a request of type {:#06x} is not permitted", parcel.type));
    }
    if (nursery_.size() > kPendingMost) {
      return failure(Error::kTooMany, "too many requests at once");
    }
    nursery_.spawn(answer(id, &row->second.handler, std::move(parcel)));
    return {};
  }

  net::Task<void> answer(std::uint64_t id, const Permits::Handler* handler, Parcel parcel) {
    Result<Parcel> reply = co_await (*handler)(std::move(parcel));
    if (!reply) {
      Refused refused{reply.error().code(), reply.error().message().substr(0, 4096)};
      reply = parcel_of(refused);
    }
    const Result<void> queued =
        enqueue({reply->type, 0, id | kReplyBit, reply->payload}, std::move(reply->fds));
    wipe(reply->payload);
    if (!queued) {
      Refused refused{queued.error().code(), queued.error().message()};
      const Parcel small = parcel_of(refused);
      (void)enqueue({small.type, 0, id | kReplyBit, small.payload}, {});
    }
  }

  void end() {
    stream_->disconnect();
    closed_.set();
    for (auto& [id, waiting] : pending_) waiting->answered.set();
  }

  net::Loop& loop_;
  std::unique_ptr<net::LocalStream> stream_;
  std::string peer_;
  const Permits& permits_;
  std::function<void(const Error&)> breached_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Pending*> pending_;
  std::string out_;
  std::vector<WithFds> with_fds_;
  net::Event outgoing_;
  net::Event closed_;
  net::Nursery nursery_;  // last: its tasks use all the rest
};

Channel::Channel(net::Loop& loop, std::unique_ptr<net::LocalStream> stream, std::string peer,
                 const Permits& permits)
    : impl_(std::make_shared<Impl>(loop, std::move(stream), std::move(peer), permits)) {}
Channel::~Channel() { impl_->abandon(); }

net::Task<Result<Parcel>> Channel::exchange(Parcel request, std::span<const int> fds,
                                            Deadline deadline) {
  return Impl::exchange(impl_, std::move(request), fds, deadline);
}
bool Channel::is_open() const { return impl_->is_open(); }
const std::string& Channel::peer() const { return impl_->peer(); }
net::Task<void> Channel::closed() { return Impl::closed(impl_); }
void Channel::on_breach(std::function<void(const Error&)> told) {
  impl_->on_breach(std::move(told));
}

}  // namespace gatehouse::ipc
