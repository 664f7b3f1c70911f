// SPDX-License-Identifier: Apache-2.0
#include "gateway/concurrency.h"

#include <fmt/format.h>

#include "base/check.h"

namespace gatehouse::gateway {
namespace {

std::string key_of(const ipc::ServiceSpec& service) {
  return fmt::format("{}\n{}", service.tenant, service.name);
}

}  // namespace

Concurrency::Place::~Place() {
  if (of_ == nullptr) return;
  const auto found = of_->taken_.find(key_);
  CHECK(found != of_->taken_.end());
  if (--found->second == 0) of_->taken_.erase(found);
}

std::optional<Concurrency::Place> Concurrency::take(const ipc::ServiceSpec& service) {
  if (service.concurrency == 0) return Place();
  std::string key = key_of(service);
  std::uint32_t& taken = taken_[key];
  if (taken >= service.concurrency) return std::nullopt;
  ++taken;
  return Place(*this, std::move(key));
}

std::uint32_t Concurrency::taken_at(const ipc::ServiceSpec& service) const {
  const auto found = taken_.find(key_of(service));
  return found == taken_.end() ? 0 : found->second;
}

}  // namespace gatehouse::gateway
