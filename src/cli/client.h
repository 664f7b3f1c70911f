// SPDX-License-Identifier: Apache-2.0
// The CLI's end of a control socket: blocking, one request at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/channel.h"
#include "ipc/frame.h"
#include "net/descriptor.h"

namespace gatehouse::cli {

class Client {
 public:
  // Errors: kUnavailable when nobody listens there, with what to do; kDenied.
  [[nodiscard]] static Result<Client> connect(const std::string& socket_path);
  explicit Client(net::Descriptor socket) : socket_(std::move(socket)) {}

  // Errors: what the other side refused with; kUnavailable when it is gone; kTimeout.
  template <class Request>
  [[nodiscard]] Result<typename Request::Reply> call(Request request) {
    return call_with_fds(std::move(request), nullptr);
  }
  // Descriptors that come with the reply are appended to `fds`.
  template <class Request>
  [[nodiscard]] Result<typename Request::Reply> call_with_fds(Request request,
                                                              std::vector<net::Descriptor>* fds) {
    ipc::Parcel reply = TRY(exchange(ipc::parcel_of(request)));
    if (reply.type != Request::Reply::kType) {
      return failure(Error::kUnavailable, "the gatehouse answered with a message of another type");
    }
    if (fds != nullptr) {
      for (net::Descriptor& fd : reply.fds) fds->push_back(std::move(fd));
    }
    return ipc::decode<typename Request::Reply>(reply.payload);
  }

 private:
  [[nodiscard]] Result<ipc::Parcel> exchange(const ipc::Parcel& request);
  [[nodiscard]] Result<void> send(std::string_view bytes);
  // At least one byte. Errors: kUnavailable, kTimeout.
  [[nodiscard]] Result<void> receive(ipc::FrameReader& reader, std::vector<net::Descriptor>& fds);

  net::Descriptor socket_;
  std::uint64_t next_id_ = 1;
};

}  // namespace gatehouse::cli
