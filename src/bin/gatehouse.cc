// SPDX-License-Identifier: Apache-2.0
// `gatehouse`, the one command that a person types.
#include "bin/up.h"
#include "cli/cli.h"
#include "control/config.h"
#include "control/present.h"

namespace gatehouse::bin {
namespace {

Result<std::string> data_of(const std::string& config) {
  return TRY(control::load_config(config)).data;
}

Result<void> up(const std::string& data, const std::string& config) {
  return run_house({data, config, TRY(roles_directory())});
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) {
  using namespace gatehouse;
  return cli::run_cli(argc, argv,
                      {bin::data_of, control::example_config, control::json_of_yaml, bin::up});
}
