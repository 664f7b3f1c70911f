// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a_card.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

using Binding = A2aEndpoint::Binding;

std::optional<std::string> house(std::string_view url) {
  constexpr std::string_view kUpstream = "https://agent.example.com";
  if (!url.starts_with(kUpstream)) return std::nullopt;
  return "http://agent.gatehouse" + std::string(url.substr(kUpstream.size()));
}

Result<A2aCard> through(std::string_view text, Binding binding = Binding::kHttpJson) {
  return card_through(binding, text, house);
}

TEST(A2aCard, Of03LeadsThroughTheHouse) {
  const auto card = through(
      R"({"protocolVersion":"0.3.0","name":"Geo \u00e4","url":"https://agent.example.com/a2a/v1",)"
      R"( "preferredTransport":"JSONRPC","additionalInterfaces":[)"
      R"({"url":"https://agent.example.com/a2a/v1","transport":"JSONRPC"},)"
      R"({"url":"https://agent.example.com/a2a/grpc","transport":"GRPC"},)"
      R"({"url":"https://agent.example.com/a2a/json","transport":"HTTP+JSON"}],)"
      R"("provider":{"url":"https://agent.example.com/about"},"skills":[{"id":"s"}],)"
      R"("signatures":[{"protected":"e30","signature":"x"}]})");
  ASSERT_TRUE(card) << card.error().message();
  EXPECT_EQ(
      card->text,
      R"({"protocolVersion":"0.3.0","name":"Geo \u00e4","url":"http://agent.gatehouse/a2a/v1",)"
      R"("preferredTransport":"JSONRPC","additionalInterfaces":[)"
      R"({"url":"http://agent.gatehouse/a2a/v1","transport":"JSONRPC"},)"
      R"({"url":"http://agent.gatehouse/a2a/json","transport":"HTTP+JSON"}],)"
      R"("provider":{"url":"https://agent.example.com/about"},"skills":[{"id":"s"}]})");
  EXPECT_EQ(card->left_out, std::vector<std::string>{"GRPC"});
  EXPECT_TRUE(card->had_signatures);
}

TEST(A2aCard, Of03ThatPrefersGrpcOffersWhatIsRelayed) {
  const auto card = through(
      R"({"url":"https://agent.example.com/grpc","preferredTransport":"GRPC",)"
      R"("additionalInterfaces":[{"url":"https://agent.example.com/rest","transport":"HTTP+JSON"}]})");
  ASSERT_TRUE(card);
  EXPECT_EQ(card->text, R"({"url":"http://agent.gatehouse/rest","preferredTransport":"HTTP+JSON",)"
                        R"("additionalInterfaces":[{"url":"http://agent.gatehouse/rest",)"
                        R"("transport":"HTTP+JSON"}]})");
}

TEST(A2aCard, Of10LeadsThroughTheHouse) {
  const auto card = through(
      R"({"name":"n","supportedInterfaces":[)"
      R"({"url":"https://agent.example.com/grpc","protocolBinding":"GRPC","protocolVersion":"1.0"},)"
      R"({"url":"https://agent.example.com/rpc","protocolBinding":"JSONRPC","tenant":"t",)"
      R"("protocolVersion":"1.0"},)"
      R"({"url":"https://elsewhere.example/rpc","protocolBinding":"JSONRPC"},)"
      R"({"url":"https://agent.example.com/x","protocolBinding":"https://acme.example/binding"}],)"
      R"("signatures":[]})");
  ASSERT_TRUE(card);
  EXPECT_EQ(card->text, R"({"name":"n","supportedInterfaces":[{"url":"http://agent.gatehouse/rpc",)"
                        R"("protocolBinding":"JSONRPC","tenant":"t","protocolVersion":"1.0"}]})");
  EXPECT_EQ(card->left_out,
            (std::vector<std::string>{"GRPC", "JSONRPC", "https://acme.example/binding"}));
}

TEST(A2aCard, IsRewrittenHoweverItsKeysAreSpelled) {
  const auto card = through(
      R"({"supported_interfaces":[{"url":"https://agent.example.com/","protocol_binding":"JSONRPC"}]})");
  ASSERT_TRUE(card);
  EXPECT_EQ(card->text, R"({"supported_interfaces":[{"url":"http://agent.gatehouse/",)"
                        R"("protocol_binding":"JSONRPC"}]})");
}

TEST(A2aCard, IsFoundInAJsonRpcAnswer) {
  const auto card =
      through(R"({"jsonrpc":"2.0", "id":3,"result":{"url":"https://agent.example.com/"} })",
              Binding::kJsonRpc);
  ASSERT_TRUE(card);
  EXPECT_EQ(card->text, R"({"jsonrpc":"2.0", "id":3,"result":{"url":"http://agent.gatehouse/"} })");
  const char* error = R"({"jsonrpc":"2.0","id":3,"error":{"code":-32007,"message":"none"}})";
  EXPECT_EQ(through(error, Binding::kJsonRpc)->text, error);
}

TEST(A2aCard, ThatLeadsNowhereOrCannotBeReadIsRefused) {
  for (const char* text :
       {"<html>", "{}", "[]", R"({"url":"https://elsewhere.example/"})",
        R"({"url":"https://agent.example.com/","preferredTransport":"GRPC"})",
        R"({"supportedInterfaces":[]})", R"({"supportedInterfaces":{}})",
        R"({"supportedInterfaces":[3]})", R"({"url":"https://agent.example.com/","url":"x"})"}) {
    const auto card = through(text);
    ASSERT_FALSE(card) << text;
    EXPECT_EQ(card.error(), Error::kUpstream) << text;
  }
  EXPECT_EQ(through(R"({"jsonrpc":"2.0","id":3})", Binding::kJsonRpc).error(), Error::kUpstream);
}

}  // namespace
}  // namespace gatehouse::wire
