// SPDX-License-Identifier: Apache-2.0
#include "sandbox/adoption.h"

#include <gtest/gtest.h>

namespace gatehouse::sandbox {
namespace {

TEST(Adoption, IsProvenByTheKeyOfTheHouseAndByNothingElse) {
  const Secret key = Secret::random(kHouseKeySize);
  const Meeting meeting{fresh_number(), fresh_number()};
  const std::string proof = proof_of("warden", key, meeting);
  EXPECT_TRUE(is_proof(proof, "warden", key, meeting));
  EXPECT_FALSE(is_proof(proof, "sandboxd", key, meeting)) << "sent back it proves nothing";
  EXPECT_FALSE(is_proof(proof, "warden", Secret::random(kHouseKeySize), meeting));
  EXPECT_FALSE(is_proof(proof, "warden", key, {fresh_number(), meeting.of_warden}));
  EXPECT_FALSE(is_proof(proof, "warden", key, {meeting.of_sandboxd, fresh_number()}));
  EXPECT_FALSE(is_proof(proof, "warden", key, {meeting.of_warden, meeting.of_sandboxd}));
}

TEST(Adoption, WhatHasAnotherSizeIsNoProof) {
  const Secret key = Secret::random(kHouseKeySize);
  const Meeting meeting{fresh_number(), fresh_number()};
  const std::string proof = proof_of("warden", key, meeting);
  EXPECT_FALSE(is_proof("", "warden", key, meeting));
  EXPECT_FALSE(is_proof(proof.substr(1), "warden", key, meeting));
  EXPECT_FALSE(is_proof(proof + "x", "warden", key, meeting));
  EXPECT_FALSE(is_proof(proof, "warden", Secret("short"), meeting));
  // The same bytes, cut at another place.
  const std::string both = meeting.of_sandboxd + meeting.of_warden;
  EXPECT_FALSE(is_proof(proof, "warden", key, {both.substr(0, 31), both.substr(31)}));
}

}  // namespace
}  // namespace gatehouse::sandbox
