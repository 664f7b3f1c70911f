// SPDX-License-Identifier: Apache-2.0
#include "ipc/ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace gatehouse::ipc {

struct RingMemory {
  alignas(64) std::atomic<std::uint64_t> written;  // by the writer: bytes ever put in
  alignas(
      64) std::atomic<std::uint64_t> durable;  // by the reader: bytes on disk, whose room is free
  alignas(64) std::atomic<std::uint64_t> wanted;  // by the writer: wake me when durable reaches it;
                                                  // 0: nobody waits
  alignas(64) std::atomic<std::uint32_t> sleeping;  // by the reader: a Rest
  alignas(64) char bytes[kRingBytes];
};

namespace {

// What the reader is to be woken for.
enum Rest : std::uint32_t { kAwake = 0, kAsleep = 1, kLingering = 2 };

struct RecordHeader {
  std::uint32_t size;  // of the payload
  std::uint32_t type;
};
constexpr std::size_t kAlign = 8;
static_assert(sizeof(RecordHeader) == kAlign);

std::size_t padded(std::size_t size) { return (size + kAlign - 1) / kAlign * kAlign; }

RingMemory* map(int fd) {
  void* memory = mmap(nullptr, sizeof(RingMemory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<RingMemory*>(memory);
}

void ring_bell(int fd) {
  // A bell that is full rings already.
  [[maybe_unused]] const ssize_t sent = ::send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool is_bell(int fd) {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  return domain == AF_UNIX && type == SOCK_SEQPACKET;
}

}  // namespace

namespace {

// The record at `position`, which moves behind it; nothing at `written`. The memory is hostile:
// each header is copied once and then checked, and the bytes are a view that changes under its
// reader.
Result<std::optional<RingReader::Record>> next_record(const RingMemory& memory,
                                                      std::uint64_t written,
                                                      std::uint64_t& position) {
  while (written != position) {
    const std::uint64_t waiting = written - position;
    if (written < position || waiting > kRingBytes || waiting < sizeof(RecordHeader)) {
      return failure(Error::kInvalid, "an audit ring's positions make no sense");
    }
    const std::size_t at = position % kRingBytes;
    RecordHeader header;
    std::memcpy(&header, memory.bytes + at,
                sizeof header);  // once: the writer may change it any time
    const std::size_t whole = sizeof header + padded(header.size);
    if (whole > waiting || whole > kRingBytes - at) {
      return failure(Error::kInvalid, "a record of an audit ring is longer than what was written");
    }
    if (header.type == static_cast<std::uint32_t>(RecordType::kPadding)) {
      position += whole;
      continue;
    }
    if (header.size > kRecordMost
        || header.type > static_cast<std::uint32_t>(RecordType::kBodyList)) {
      return failure(Error::kInvalid, "a record of an audit ring is of no known kind or too long");
    }
    RingReader::Record record{static_cast<RecordType>(header.type),
                              std::string_view(memory.bytes + at + sizeof header, header.size)};
    position += whole;
    return record;
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<RingWriter>> RingWriter::make() {
  std::unique_ptr<RingWriter> writer(new RingWriter());
  writer->memory_fd_ =
      net::Descriptor(memfd_create("gatehouse-audit-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  std::array<int, 2> bell{-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bell.data()) != 0) {
    return failure_from_errno(errno, "making an audit ring's bell");
  }
  writer->bell_ = net::Descriptor(bell[0]);
  writer->reader_bell_ = net::Descriptor(bell[1]);
  if (!writer->memory_fd_.is_open() || ftruncate(writer->memory_fd(), sizeof(RingMemory)) != 0
      || fcntl(writer->memory_fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return failure_from_errno(errno, "making an audit ring");
  }
  writer->memory_ = map(writer->memory_fd());
  if (writer->memory_ == nullptr) return failure_from_errno(errno, "mapping an audit ring");
  return writer;
}

RingWriter::~RingWriter() {
  if (memory_ != nullptr) munmap(memory_, sizeof(RingMemory));
}

std::optional<std::uint64_t> RingWriter::append(RecordType type,
                                                std::span<const std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  CHECK(size <= kRecordMost);
  const std::size_t whole = sizeof(RecordHeader) + padded(size);
  const std::size_t at = position_ % kRingBytes;
  const std::size_t skip = kRingBytes - at < whole ? kRingBytes - at : 0;
  const std::uint64_t durable = memory_->durable.load(std::memory_order_acquire);
  if (position_ + skip + whole - durable > kRingBytes) return std::nullopt;
  if (skip > 0) {
    const RecordHeader padding{static_cast<std::uint32_t>(skip - sizeof(RecordHeader)), 0};
    std::memcpy(memory_->bytes + at, &padding, sizeof padding);
    position_ += skip;
  }
  char* out = memory_->bytes + position_ % kRingBytes;
  const RecordHeader header{static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(type)};
  std::memcpy(out, &header, sizeof header);
  out += sizeof header;
  for (const std::string_view part : parts) {
    std::memcpy(out, part.data(), part.size());
    out += part.size();
  }
  position_ += whole;
  memory_->written.store(position_, std::memory_order_seq_cst);
  return position_;
}

std::uint64_t RingWriter::take_over(const RingWriter& before) {
  // What the reader said of it is believed no further than what was written.
  std::uint64_t at = std::min(before.durable(), before.position_);
  while (true) {
    const auto record = next_record(*before.memory_, before.position_, at);
    if (!record || !*record) break;
    const std::array<std::string_view, 1> parts = {(*record)->bytes};
    if (!append((*record)->type, parts)) break;
  }
  return position_;
}

std::uint64_t RingWriter::durable() const {
  return memory_->durable.load(std::memory_order_acquire);
}

bool RingWriter::want(std::uint64_t position) {
  const std::uint64_t before = memory_->wanted.load(std::memory_order_relaxed);
  // The nearest of those that wait; the others ask again when they are woken.
  if (before == 0 || position < before || before <= durable()) {
    memory_->wanted.store(position, std::memory_order_seq_cst);
    if (memory_->sleeping.load(std::memory_order_seq_cst) != kAwake) ring_bell(bell_fd());
  }
  return memory_->durable.load(std::memory_order_seq_cst) < position;
}

bool RingWriter::is_reader_asleep() const {
  return memory_->sleeping.load(std::memory_order_seq_cst) == kAsleep;
}

void RingWriter::rouse() const {
  if (is_reader_asleep()) ring_bell(bell_fd());
}

bool RingWriter::answer() const { return take_rings(bell_fd()); }

Result<std::unique_ptr<RingReader>> RingReader::open(net::Descriptor memory, net::Descriptor bell) {
  struct stat about{};
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
  if (fstat(memory.get(), &about) != 0 || about.st_size != sizeof(RingMemory)
      || (fcntl(memory.get(), F_GET_SEALS) & kSeals) != kSeals || !is_bell(bell.get())) {
    return failure(Error::kInvalid, "what came as an audit ring is not one");
  }
  std::unique_ptr<RingReader> reader(new RingReader());
  reader->memory_ = map(memory.get());
  if (reader->memory_ == nullptr) return failure_from_errno(errno, "mapping an audit ring");
  reader->bell_ = std::move(bell);
  return reader;
}

RingReader::~RingReader() {
  shutdown(bell_.get(), SHUT_RDWR);  // the writer learns that nobody reads any more
  if (memory_ != nullptr) munmap(memory_, sizeof(RingMemory));
}

Result<std::optional<RingReader::Record>> RingReader::next() {
  const std::uint64_t written = memory_->written.load(std::memory_order_acquire);
  auto record = TRY(next_record(*memory_, written, position_));
  if (record) record->bytes = copy_.assign(record->bytes);
  return record;
}

std::uint64_t RingReader::written() const {
  return memory_->written.load(std::memory_order_acquire);
}

std::uint64_t RingReader::unread() const {
  const std::uint64_t written = memory_->written.load(std::memory_order_acquire);
  return written <= position_ ? 0 : std::min<std::uint64_t>(written - position_, kRingBytes);
}

void RingReader::publish_durable() {
  memory_->durable.store(position_, std::memory_order_seq_cst);
  const std::uint64_t wanted = memory_->wanted.load(std::memory_order_seq_cst);
  if (wanted != 0 && wanted <= position_) {
    memory_->wanted.store(0, std::memory_order_relaxed);
    ring_bell(bell_fd());
  }
}

bool RingReader::prepare_to_sleep() {
  if (written() != position_) return false;
  is_resting_ = true;
  memory_->sleeping.store(kAsleep, std::memory_order_seq_cst);
  if (memory_->written.load(std::memory_order_seq_cst) == position_) return true;
  memory_->sleeping.store(kAwake, std::memory_order_relaxed);
  return false;
}

bool RingReader::prepare_to_linger() {
  if (memory_->wanted.load(std::memory_order_acquire) != 0) return false;
  is_resting_ = true;
  memory_->sleeping.store(kLingering, std::memory_order_seq_cst);
  if (memory_->wanted.load(std::memory_order_seq_cst) == 0) return true;
  memory_->sleeping.store(kAwake, std::memory_order_relaxed);
  return false;
}

void RingReader::woken() {
  if (!std::exchange(is_resting_, false)) return;
  memory_->sleeping.store(kAwake, std::memory_order_relaxed);
  (void)take_rings(bell_fd());
}

bool take_rings(int fd) {
  constexpr int kMost = 64;
  char ring = 0;
  for (int i = 0; i < kMost; ++i) {
    const ssize_t got = ::recv(fd, &ring, 1, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
  }
  return true;
}

bool is_bell_dead(int fd) {
  char ring = 0;
  const ssize_t got = ::recv(fd, &ring, 1, MSG_DONTWAIT | MSG_PEEK);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace gatehouse::ipc
