// SPDX-License-Identifier: Apache-2.0
#include "control/bundle.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "control/memory.h"

namespace gatehouse::control {
namespace {

class BundleTest : public testing::Test {
 protected:
  BundleTest() {
    std::string name = testing::TempDir() + "bundle-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~BundleTest() override { std::filesystem::remove_all(folder_); }
  std::string written(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  std::string folder_;
};

TEST_F(BundleTest, ArrivesAsItWasRead) {
  const std::string path =
      written("gatehouse.yaml", "version: 1\ndata: /srv/gatehouse\nusers: [{name: alice}]\n");
  const auto bundle = read_bundle(path);
  ASSERT_TRUE(bundle) << bundle.error().message();
  const auto config = config_of_bundle(bundle->memory);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->data, "/srv/gatehouse");
  ASSERT_EQ(config->users.size(), 1U);
  EXPECT_EQ(config->users[0].name, "alice");
}

TEST_F(BundleTest, HoldsWhatTheConfigNames) {
  const std::string ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  written("corporate.pem", ca);
  const std::string path = written("gatehouse.yaml",
                                   "version: 1\ndata: /srv/gatehouse\nusers: [{name: alice}]\n"
                                   "services: [{name: s, kind: http, url: \"https://s.example\", "
                                   "upstream: \"https://s.example\", "
                                   "upstream_ca: corporate.pem}]\n");
  const auto bundle = read_bundle(path);
  ASSERT_TRUE(bundle) << bundle.error().message();
  std::filesystem::remove(folder_ + "/corporate.pem");  // control has no way to it
  const auto config = config_of_bundle(bundle->memory);
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->services.size(), 1U);
  EXPECT_EQ(config->services[0].upstream_ca_pem, bundle->config.services[0].upstream_ca_pem);
  EXPECT_FALSE(config->services[0].upstream_ca_pem.empty());
}

TEST_F(BundleTest, ABadConfigIsRefusedWithAllThatIsWrong) {
  const std::string path = written("gatehouse.yaml", "version: 1\nuserz: []\ndata: relative\n");
  const auto bundle = read_bundle(path);
  ASSERT_FALSE(bundle);
  EXPECT_NE(bundle.error().message().find("userz"), std::string::npos);
  EXPECT_NE(bundle.error().message().find("data"), std::string::npos);
  EXPECT_EQ(read_bundle(folder_ + "/none.yaml").error(), Error::kNotFound);
}

TEST_F(BundleTest, WhatCouldStillChangeOrIsNoBundleIsRefused) {
  const net::Descriptor open(memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(config_of_bundle(open).error(), Error::kInvalid);
  const auto noise = sealed_memory("noise", "no bundle at all");
  ASSERT_TRUE(noise);
  EXPECT_FALSE(config_of_bundle(*noise));
  const auto large = sealed_memory("large", std::string(kBundleMost + 1, 'x'));
  ASSERT_TRUE(large);
  EXPECT_EQ(config_of_bundle(*large).error(), Error::kTooLarge);
}

}  // namespace
}  // namespace gatehouse::control
