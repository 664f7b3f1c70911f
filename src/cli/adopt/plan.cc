// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace gatehouse::cli::adopt {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
    if ((c < 'A' || c > 'Z') && (c < '0' || c > '9')) c = '_';
  }
  return out;
}

std::string placeholder_of(const std::string& service) { return "{{placeholder:" + service + "}}"; }

class Planner {
 public:
  Planner(const HouseFacts& facts, const Wishes& wishes, const std::vector<StoredKey>& before)
      : facts_(facts), wishes_(wishes), before_(before) {}

  Decision decide(const Finding& finding) {
    if (!finding.left_because.empty()) return stays(finding.left_because);
    const ServiceFact* service = service_for(finding.target);
    Decision decision;
    if (service == nullptr) {
      propose(finding.target);
      if (!wishes_.create) {
        decision.outcome = Outcome::kNoService;
        decision.why = fmt::format("the house has no service at {}", finding.target.origin);
        return decision;
      }
      service = service_for(finding.target);
    }
    if (service->header != finding.target.header) {
      return stays(service->header.empty()
                       ? fmt::format("service {} takes no key", service->name)
                       : fmt::format("service {} puts its key into the header {}, and here it "
                                     "goes into {}",
                                     service->name, service->header, finding.target.header));
    }
    if (!service->shared && wishes_.user.empty()) {
      return stays(fmt::format("service {} has a connection for each user; say whose with --user",
                               service->name));
    }
    decision.service = service->name;
    decision.user = service->shared ? "" : wishes_.user;
    if (std::string why = taken(decision, finding.value); !why.empty()) return stays(why);
    decision.variable = variable_for(finding, decision.service);
    if (decision.variable.empty()) {
      return stays(fmt::format("{} stands for another service's key already", finding.variable));
    }
    decision.outcome = Outcome::kMoved;
    plan.environment[decision.variable] = decision.service;
    return decision;
  }

  Plan plan;

 private:
  static Decision stays(std::string why) {
    Decision decision;
    decision.why = std::move(why);
    return decision;
  }

  const ServiceFact* service_for(const Target& target) const {
    const auto there = [&](const ServiceFact& one) { return one.origin == target.origin; };
    if (const auto at = std::ranges::find_if(facts_.services, there); at != facts_.services.end()) {
      return &*at;
    }
    if (!wishes_.create) return nullptr;
    const auto made = std::ranges::find_if(
        plan.new_services, [&](const NewService& one) { return there(one.service); });
    return made == plan.new_services.end() ? nullptr : &made->service;
  }

  [[nodiscard]] bool has_name(const std::string& name) const {
    return std::ranges::any_of(facts_.services,
                               [&](const ServiceFact& one) { return one.name == name; })
           || std::ranges::any_of(plan.new_services,
                                  [&](const NewService& one) { return one.service.name == name; });
  }

  void propose(const Target& target) {
    const bool is_there = std::ranges::any_of(plan.new_services, [&](const NewService& one) {
      return one.service.origin == target.origin;
    });
    if (is_there) return;
    std::string name = target.name;
    for (int i = 2; has_name(name); ++i) name = fmt::format("{}-{}", target.name, i);
    plan.new_services.push_back(
        {{name, target.origin, target.header, wishes_.user.empty()}, target});
  }

  // Why a key cannot be put there; "" when it can.
  std::string taken(const Decision& to, const Secret& value) {
    const std::pair place(to.user, to.service);
    const auto mine = values_.find(place);
    if (mine != values_.end()) {
      if (*mine->second == value) return "";
      return fmt::format("service {} holds one key, and another one of these goes there",
                         to.service);
    }
    if (facts_.connected.contains(place) && !wishes_.replace && !was_put(to, value)) {
      return fmt::format(
          "service {} is connected already, perhaps with this key; --replace puts "
          "this one in its place",
          to.service);
    }
    values_.emplace(place, &value);
    return "";
  }

  [[nodiscard]] bool was_put(const Decision& to, const Secret& value) const {
    const std::string digest = hex_sha256(value.open(Purpose::kCompare));
    return std::ranges::any_of(before_, [&](const StoredKey& key) {
      return key.user == to.user && key.service == to.service && key.sha256 == digest
             && key.tenant == facts_.tenant;
    });
  }

  // The variable that stands in for the service's key; "" when the one that it must be is
  // another's.
  std::string variable_for(const Finding& finding, const std::string& service) const {
    const auto free = [&](const std::string& name) {
      const auto planned = plan.environment.find(name);
      return !name.empty() && (planned == plan.environment.end() || planned->second == service);
    };
    if (!finding.variable.empty()) return free(finding.variable) ? finding.variable : "";
    for (const auto& [name, text] : facts_.environment) {
      if (text == placeholder_of(service) && free(name)) return name;
    }
    for (const auto& [name, of] : plan.environment) {
      if (of == service && upper(name) == name) return name;
    }
    if (finding.provider != nullptr && finding.provider->name == service) {
      const std::string usual(finding.provider->variable);
      if (free(usual)) return usual;
    }
    std::string name = upper(service) + "_API_KEY";
    while (!free(name)) name += "_2";
    return name[0] >= '0' && name[0] <= '9' ? "KEY_" + name : name;
  }

  const HouseFacts& facts_;
  const Wishes& wishes_;
  const std::vector<StoredKey>& before_;
  std::map<std::pair<std::string, std::string>, const Secret*> values_;
};

}  // namespace

Plan plan_of(const std::vector<Finding>& found, const HouseFacts& facts, const Wishes& wishes,
             const std::vector<StoredKey>& before) {
  Planner planner(facts, wishes, before);
  for (const Finding& finding : found) {
    // In two steps: deciding appends to the plan.
    Decision decision = planner.decide(finding);
    planner.plan.decisions.push_back(std::move(decision));
  }
  return std::move(planner.plan);
}

Adoption adoption_of(const std::vector<SourceFile>& files, const std::vector<Finding>& found,
                     const Plan& plan, const std::string& tenant) {
  Adoption adoption;
  for (const SourceFile& file : files) {
    std::vector<NamedSplice> splices;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (plan.decisions[i].outcome == Outcome::kMoved && found[i].file == file.name) {
        splices.push_back({&found[i].splice, plan.decisions[i].variable});
      }
    }
    if (splices.empty()) continue;
    Spliced made = spliced(file.text.view(), std::move(splices));
    ChangedFile change;
    change.name = file.name;
    change.before = PrivateText(std::string(file.text.view()));
    change.after_sha256 = hex_sha256(made.after.view());
    change.edits = std::move(made.edits);
    adoption.record.files.push_back(std::move(change));
    adoption.files.push_back({file.name, &file.text, std::move(made.after)});
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Decision& to = plan.decisions[i];
    if (to.outcome != Outcome::kMoved) continue;
    const bool is_there = std::ranges::any_of(adoption.keys, [&](const KeyToStore& key) {
      return key.where.user == to.user && key.where.service == to.service;
    });
    if (is_there) continue;
    StoredKey where{tenant, to.user, to.service,
                    hex_sha256(found[i].value.open(Purpose::kCompare))};
    adoption.record.keys.push_back(where);
    adoption.keys.push_back({std::move(where), &found[i].value});
  }
  return adoption;
}

Result<void> carry_out(const Adoption& adoption, Steps& steps) {
  TRY(steps.remember(adoption.record));
  for (const KeyToStore& key : adoption.keys) TRY(steps.store(key));
  for (const FileToChange& file : adoption.files) TRY(steps.change(file));
  return {};
}

}  // namespace gatehouse::cli::adopt
