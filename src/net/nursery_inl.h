// SPDX-License-Identifier: Apache-2.0
// The template half of nursery.h; include that.
#pragma once

#include <optional>
#include <utility>

namespace gatehouse::net {

template <class A, class B>
Task<std::variant<A, B>> race(Loop& loop, Task<A> a, Task<B> b) {
  std::optional<std::variant<A, B>> first;
  Event done(loop);
  Nursery nursery(loop);
  nursery.spawn([](this auto, Task<A> task, std::optional<std::variant<A, B>>* out,
                   Event* event) -> Task<void> {
    A value = co_await std::move(task);
    if (!out->has_value()) out->emplace(std::in_place_index<0>, std::move(value));
    event->set();
  }(std::move(a), &first, &done));
  nursery.spawn([](this auto, Task<B> task, std::optional<std::variant<A, B>>* out,
                   Event* event) -> Task<void> {
    B value = co_await std::move(task);
    if (!out->has_value()) out->emplace(std::in_place_index<1>, std::move(value));
    event->set();
  }(std::move(b), &first, &done));
  (void)co_await done.wait(Deadline::never());
  co_return std::move(*first);
}

}  // namespace gatehouse::net
