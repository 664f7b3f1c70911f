// SPDX-License-Identifier: Apache-2.0
// What becomes of each finding, decided before anything is done: pure. And the doing, in the one
// order in which a stop at any point loses no key: what undoes it is kept, then the keys go into
// the vault, then the files change.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/adopt/find.h"
#include "cli/adopt/house.h"
#include "cli/adopt/record.h"

namespace gatehouse::cli::adopt {

enum class Outcome : std::uint8_t {
  kMoved,
  kNoService,  // it could be moved, and the house has no service there
  kStays,
};

// Of the finding with the same index.
struct Decision {
  Outcome outcome = Outcome::kStays;
  std::string service;
  std::string user;  // "": the connection is the tenant's
  std::string variable;
  std::string why;  // it stays
};

struct NewService {
  ServiceFact service;
  Target target;
};

struct Plan {
  std::vector<Decision> decisions;
  std::vector<NewService> new_services;  // those that are to be made, or without --create could be
  // What the agent has to have: its variables, each with the service whose placeholder it holds.
  std::map<std::string, std::string> environment;
};

struct Wishes {
  std::string user;
  bool create = false;   // services that are missing
  bool replace = false;  // what is connected already
};

// `before`: keys that earlier adoptions of this folder have put, which may be put again.
[[nodiscard]] Plan plan_of(const std::vector<Finding>& found, const HouseFacts& facts,
                           const Wishes& wishes, const std::vector<StoredKey>& before);

struct KeyToStore {
  StoredKey where;
  const Secret* value;
};
struct FileToChange {
  std::string name;
  const PrivateText* before;
  PrivateText after;
};
struct Adoption {
  Record record;
  std::vector<KeyToStore> keys;
  std::vector<FileToChange> files;
};
[[nodiscard]] Adoption adoption_of(const std::vector<SourceFile>& files,
                                   const std::vector<Finding>& found, const Plan& plan,
                                   const std::string& tenant);

class Steps {
 public:
  virtual ~Steps() = default;
  // Each is durable when it returns.
  [[nodiscard]] virtual Result<void> remember(const Record& record) = 0;
  [[nodiscard]] virtual Result<void> store(const KeyToStore& key) = 0;
  [[nodiscard]] virtual Result<void> change(const FileToChange& file) = 0;
};
[[nodiscard]] Result<void> carry_out(const Adoption& adoption, Steps& steps);

}  // namespace gatehouse::cli::adopt
