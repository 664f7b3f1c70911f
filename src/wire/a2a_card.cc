// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a_card.h"

#include <algorithm>

#include "wire/a2a_json.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

Failure no_card(std::string_view why) {
  return failure(Error::kUpstream, "the agent's card " + std::string(why));
}

bool is_relayed(std::string_view binding) {
  return equal_ignoring_case(binding, "JSONRPC") || equal_ignoring_case(binding, "HTTP+JSON");
}

std::optional<std::string> string_at(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = find_folded(object, key);
  return value == nullptr ? std::nullopt : value->string();
}

// Lists of interfaces: `additionalInterfaces` of 0.3, `supportedInterfaces` of 1.0.
bool is_interfaces(std::string_view folded) {
  return folded == "additionalinterfaces" || folded == "supportedinterfaces";
}

class Rewriting {
 public:
  explicit Rewriting(const A2aAddress& address) : address_(address) {}

  Result<A2aCard> card(std::string_view text) {
    const JsonObject card = TRY(scan_object(text));
    JsonWriter out;
    out.begin_object();
    TRY(find_main(card));
    for (const JsonMember& member : card.members) TRY(write_member(member, out));
    out.end_object();
    if (interfaces_ == 0) {
      return no_card(
          "names no interface that is relayed: JSON-RPC or HTTP+JSON, at an address "
          "that a service of this house leads to");
    }
    card_.text = std::move(out).text();
    return std::move(card_);
  }

 private:
  struct Interface {
    std::string url;
    std::string binding;
  };

  std::optional<Interface> through(std::string_view url, std::string_view binding) {
    auto there = is_relayed(binding) ? address_(url) : std::nullopt;
    if (!there) {
      card_.left_out.emplace_back(binding.substr(0, 64));
      return std::nullopt;
    }
    ++interfaces_;
    return Interface{*std::move(there), std::string(binding)};
  }

  // 0.3's own `url`, with its `preferredTransport`. Where that is not relayed, the first of the
  // additional interfaces that is takes its place.
  Result<void> find_main(const JsonObject& card) {
    const auto url = string_at(card, "url");
    if (!url) return {};
    main_ = through(*url, string_at(card, "preferredTransport").value_or("JSONRPC"));
    const JsonValue* const more = find_folded(card, "additionalInterfaces");
    if (main_ || more == nullptr || !more->is(JsonType::kArray)) return {};
    for (const JsonValue& each : TRY(scan_array(more->raw))) {
      const JsonObject other = TRY(scan_object(each.raw));
      const std::string binding = string_at(other, "transport").value_or("");
      const auto there =
          is_relayed(binding) ? address_(string_at(other, "url").value_or("")) : std::nullopt;
      if (!there) continue;
      main_ = Interface{*there, binding};
      return {};
    }
    return {};
  }

  Result<void> write_member(const JsonMember& member, JsonWriter& out) {
    const std::string key = folded_key(member.key);
    if (key == "signatures") {
      card_.had_signatures = true;
      return {};
    }
    if (key == "url" || key == "preferredtransport") {
      if (main_) out.key(member.key).string(key == "url" ? main_->url : main_->binding);
      return {};
    }
    out.key(member.key);
    if (is_interfaces(key)) return write_interfaces(member.value, out);
    out.raw(member.value.raw);
    return {};
  }

  Result<void> write_interfaces(const JsonValue& list, JsonWriter& out) {
    if (!list.is(JsonType::kArray)) return no_card("has interfaces that are no list");
    out.begin_array();
    for (const JsonValue& each : TRY(scan_array(list.raw))) {
      const JsonObject one = TRY(scan_object(each.raw));
      auto binding = string_at(one, "protocolBinding");
      if (!binding) binding = string_at(one, "transport");
      const auto there = through(string_at(one, "url").value_or(""), binding.value_or(""));
      if (!there) continue;
      out.begin_object();
      for (const JsonMember& member : one.members) {
        out.key(member.key);
        if (folded_key(member.key) == "url") {
          out.string(there->url);
        } else {
          out.raw(member.value.raw);
        }
      }
      out.end_object();
    }
    out.end_array();
    return {};
  }

  const A2aAddress& address_;
  A2aCard card_;
  std::optional<Interface> main_;
  std::size_t interfaces_ = 0;
};

}  // namespace

Result<A2aCard> card_through(A2aEndpoint::Binding binding, std::string_view answer,
                             const A2aAddress& address) {
  const auto as_upstreams = [](const Error& error) {
    return error == Error::kUpstream ? Failure(error)
                                     : no_card("cannot be read: " + error.message());
  };
  std::string_view text = answer;
  if (binding == A2aEndpoint::Binding::kJsonRpc) {
    const auto message = scan_object(answer);
    if (!message) return as_upstreams(message.error());
    const JsonValue* const result = message->find("result");
    if (result == nullptr && message->find("error") != nullptr) {
      return A2aCard{std::string(answer), {}, false};
    }
    if (result == nullptr) return no_card("is not in its answer");
    text = result->raw;
  }
  auto card = Rewriting(address).card(text);
  if (!card) return as_upstreams(card.error());
  if (text.size() != answer.size()) {
    card->text = edited(answer, replacing(answer, text, std::move(card->text)));
  }
  return card;
}

}  // namespace gatehouse::wire
