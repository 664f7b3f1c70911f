// SPDX-License-Identifier: Apache-2.0
// Every message of every contract from hostile bytes, the type in the first two as in a frame: it
// is refused, or is written again to the same bytes. No two messages have one type.
#include <array>
#include <string_view>

#include "base/check.h"
#include "ipc/any_audit.h"
#include "ipc/audit_exporter.h"
#include "ipc/cli_control.h"
#include "ipc/codec.h"
#include "ipc/control_courier.h"
#include "ipc/control_exporter.h"
#include "ipc/control_gateway.h"
#include "ipc/control_vault.h"
#include "ipc/gateway_vault.h"
#include "ipc/message.h"
#include "ipc/network.h"
#include "ipc/probe.h"
#include "ipc/sandbox.h"
#include "ipc/snapshot.h"
#include "ipc/supervisor.h"
#include "ipc/vault_courier.h"

namespace gatehouse::ipc {
namespace {

template <class Message>
void check(std::string_view bytes) {
  auto message = decode<Message>(bytes);
  if (message) CHECK(encode(*message) == bytes);
}

template <class... Messages>
struct Contracts {
  static constexpr bool are_distinct() {
    const std::array types = {Messages::kType...};
    for (std::size_t i = 0; i < types.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (types[i] == types[j]) return false;
      }
    }
    return true;
  }
  static bool check_one(MessageType type, std::string_view bytes) {
    return ((type == Messages::kType && (check<Messages>(bytes), true)) || ...);
  }
};

// tools/tidy finds a message that is missing here.
using All =
    Contracts<Done, Refused,
              // supervisor.h
              AttachPeer, PeerLost, GiveDescriptor, RoleReady, KillDone, Kill, Revive, Status,
              GetStatus, ConfigApplied, Reload, ApplyConfig, UseLog, Examination, Examine,
              // probe.h, network.h
              Attempts, Probe, UseProxyCredentials,
              // any_audit.h
              Appended, Append, OfferRing, EntryPage, ReadRun, ReadActs, RunsOfTrace, FindTrace,
              BodyPiece, ReadBody,
              // gateway_vault.h
              Leased, Lease, EndLeases, KnownValues, Known, LeafIssued, Leaf,
              // vault_courier.h, control_courier.h
              Posted, Post, PublishEndpoints, Fetched, Fetch,
              // audit_exporter.h, control_exporter.h
              Report, UseTelemetry,
              // control_gateway.h
              CounterList, GetCounters, SnapshotReady, OpenAttachment, CloseAttachment,
              KeepAttachments, UseAttachIdentity, UseClientIdentity,
              // control_vault.h
              VaultPublicKey, GetPublicKey, PublishService, KeepServices, PublishInterceptable,
              PutSealed, AuthorizationStarted, StartAuthorization, FinishAuthorization,
              ConnectionList, ListConnections, RemoveConnection, RunLive, DeclareRunLive,
              DeclareRunEnded,
              // sandbox.h
              SandboxCreated, CreateSandbox, EndSandbox, SandboxList, ListSandboxes, OpenDoor,
              CloseDoor, RegisterSandbox, ResumeSandbox, SandboxEnded,
              // cli_control.h
              RunStarted, StartRun, RunList, ListRuns, StateTaken, TakeState, ObjectList,
              ListObjects, ServiceInfo, DescribeService>;
static_assert(All::are_distinct());

}  // namespace
}  // namespace gatehouse::ipc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::ipc;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto type = static_cast<MessageType>(data[0] | data[1] << 8);
  // The Snapshot travels in sealed memory and has no type.
  if (!All::check_one(type, bytes)) check<Snapshot>(bytes);
  return 0;
}
