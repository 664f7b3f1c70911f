// SPDX-License-Identifier: Apache-2.0
// What the gateway and control may ask of the vault: each contract, row by row.
#include "vault/service.h"

namespace gatehouse::vault {

namespace {

net::Task<Result<ipc::CounterList>> told(ipc::CounterList list) { co_return list; }

}  // namespace

void permit_gateway(ipc::Permits& permits, Service& service, const std::string& name) {
  permits.on<ipc::Lease>([&service, name](ipc::Lease request, std::vector<net::Descriptor>) {
    return service.lease(std::move(request), name);
  });
  permits.on<ipc::EndLeases>([&service](ipc::EndLeases request, std::vector<net::Descriptor>) {
    return service.end_leases(std::move(request));
  });
  permits.on<ipc::Known>([&service](ipc::Known request, std::vector<net::Descriptor>) {
    return service.known(std::move(request));
  });
  permits.on<ipc::Leaf>([&service](ipc::Leaf request, std::vector<net::Descriptor>) {
    return service.leaf(std::move(request));
  });
}

void permit_control(ipc::Permits& permits, Service& service) {
  using Fds = std::vector<net::Descriptor>;
  permits.on<ipc::GetPublicKey>(
      [&service](ipc::GetPublicKey, Fds) { return service.public_key(); });
  permits.on<ipc::PublishService>(
      [&service](ipc::PublishService request, Fds) { return service.publish(std::move(request)); });
  permits.on<ipc::KeepServices>(
      [&service](ipc::KeepServices request, Fds) { return service.keep(std::move(request)); });
  permits.on<ipc::PublishInterceptable>([&service](ipc::PublishInterceptable request, Fds) {
    return service.publish(std::move(request));
  });
  permits.on<ipc::PutSealed>(
      [&service](ipc::PutSealed request, Fds) { return service.put(std::move(request)); });
  permits.on<ipc::StartAuthorization>([&service](ipc::StartAuthorization request, Fds) {
    return service.start(std::move(request));
  });
  permits.on<ipc::FinishAuthorization>([&service](ipc::FinishAuthorization request, Fds) {
    return service.finish(std::move(request));
  });
  permits.on<ipc::ListConnections>(
      [&service](ipc::ListConnections request, Fds) { return service.list(std::move(request)); });
  permits.on<ipc::RemoveConnection>([&service](ipc::RemoveConnection request, Fds) {
    return service.remove(std::move(request));
  });
  permits.on<ipc::GetCounters>(
      [&service](ipc::GetCounters, Fds) -> net::Task<Result<ipc::CounterList>> {
        return told(service.counters());
      });
  permits.on<ipc::DeclareRunLive>([&service](ipc::DeclareRunLive request, Fds) {
    return service.declare_live(std::move(request));
  });
  permits.on<ipc::DeclareRunEnded>(
      [&service](ipc::DeclareRunEnded request, Fds) { return service.declare_ended(request); });
}

}  // namespace gatehouse::vault
