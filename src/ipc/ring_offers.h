// SPDX-License-Identifier: Apache-2.0
// What a role that writes into a ring does beside writing: it offers each audit role that arrives a
// ring of its own, and rouses the reader of one where that sleeps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ipc/ring.h"
#include "ipc/role.h"
#include "net/nursery.h"

namespace gatehouse::ipc {

class RingOffers {
 public:
  explicit RingOffers(Role& role) : role_(role), tasks_(role.loop()) {}

  // From now on each audit role is offered a ring, which `taken` gets when it is read.
  void begin(std::function<void(std::unique_ptr<RingWriter>)> taken);
  // Whether the audit role that is there now reads the ring that `taken` got last.
  [[nodiscard]] bool is_taken() const { return number_ != 0 && taken_number_ == number_; }

 private:
  net::Task<void> offer(std::uint64_t number);
  net::Task<Result<void>> try_once(std::uint64_t number);

  Role& role_;
  std::function<void(std::unique_ptr<RingWriter>)> taken_;
  std::uint64_t number_ = 0;  // of arrivals of an audit role
  std::uint64_t taken_number_ = 0;
  net::Nursery tasks_;
};

// Nobody waits for what was put into a ring unless it says so by `RingWriter::want`: a reader that
// sleeps is left alone for a moment, in which more comes and whoever wrote has got its own work
// away, and is woken then.
class Rouser {
 public:
  static constexpr Nanos kAfter = std::chrono::milliseconds(1);

  // `ring` may hold another one by and by, and outlives this.
  Rouser(net::Loop& loop, const std::unique_ptr<RingWriter>& ring)
      : loop_(loop), ring_(ring), tasks_(loop) {}
  // Something was put in.
  void appended();

 private:
  net::Task<void> rouse_soon();

  net::Loop& loop_;
  const std::unique_ptr<RingWriter>& ring_;
  bool is_due_ = false;
  net::Nursery tasks_;
};

}  // namespace gatehouse::ipc
