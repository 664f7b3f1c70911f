// SPDX-License-Identifier: Apache-2.0
#include "ipc/ring_offers.h"

#include <array>

#include "base/log.h"
#include "ipc/any_audit.h"

namespace gatehouse::ipc {

using net::Task;

void RingOffers::begin(std::function<void(std::unique_ptr<RingWriter>)> taken) {
  taken_ = std::move(taken);
  role_.on_peer("audit", [this](Channel&) { tasks_.spawn(offer(++number_)); });
}

// Until it is taken, or another audit role has come. Memory and descriptors may run out for a
// while.
Task<void> RingOffers::offer(std::uint64_t number) {
  while (number == number_) {
    const Result<void> offered = co_await try_once(number);
    if (offered) co_return;
    log_error("no audit ring, so nothing passes", {{"why", offered.error().message()}});
    co_await role_.loop().sleep_for(1s);
  }
}

Task<Result<void>> RingOffers::try_once(std::uint64_t number) {
  auto ring = CO_TRY(RingWriter::make());
  Channel* audit = role_.peer("audit");
  if (audit == nullptr) co_return failure(Error::kUnavailable, "the audit role is away");
  OfferRing offer;
  const std::array<int, 2> fds = {ring->memory_fd(), ring->reader_bell_fd()};
  CO_TRY(co_await audit->exchange(parcel_of(offer), fds, role_.loop().in(5s)));
  if (number != number_) co_return Result<void>();  // this one was of an audit role that is gone
  ring->forget_reader_bell();
  taken_number_ = number;
  taken_(std::move(ring));
  co_return Result<void>();
}

void Rouser::appended() {
  if (is_due_ || !ring_->is_reader_asleep()) return;
  is_due_ = true;
  tasks_.spawn(rouse_soon());
}

Task<void> Rouser::rouse_soon() {
  co_await loop_.sleep_for(kAfter);
  is_due_ = false;
  ring_->rouse();
}

}  // namespace gatehouse::ipc
