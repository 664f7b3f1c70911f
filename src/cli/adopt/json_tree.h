// SPDX-License-Identifier: Apache-2.0
// An agent's JSON as its readers walk it: values by their path from the root, bytes untouched.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/adopt/find.h"
#include "cli/json5_scan.h"

namespace gatehouse::cli::adopt {

inline constexpr std::string_view kUnknownPlace = "it is not known where it is used";
inline constexpr std::string_view kOwnSignIn = "it is of a sign-in that the agent renews itself";

class Tree {
 public:
  Tree(std::string_view text, std::vector<Json5Node> nodes)
      : text_(text), nodes_(std::move(nodes)) {}

  [[nodiscard]] const std::vector<Json5Node>& nodes() const { return nodes_; }
  [[nodiscard]] const Json5Node* parent(const Json5Node& node) const {
    return node.parent == Json5Node::kNone ? nullptr : &nodes_[node.parent];
  }
  [[nodiscard]] std::string_view token(const Json5Node& node) const {
    return text_.substr(node.begin, node.end - node.begin);
  }
  // The keys from the root to the node.
  [[nodiscard]] std::vector<std::string_view> path(const Json5Node& node) const {
    std::vector<std::string_view> keys;
    for (const Json5Node* at = &node; at->parent != Json5Node::kNone; at = parent(*at)) {
      keys.push_back(at->key);
    }
    std::reverse(keys.begin(), keys.end());
    return keys;
  }
  // A string member beside `node`, or "".
  [[nodiscard]] std::string beside(const Json5Node& node, std::string_view key) const {
    for (const Json5Node& other : nodes_) {
      if (other.parent == node.parent && other.key == key && other.type == Json5Type::kString) {
        return json5_string(token(other)).value_or("");
      }
    }
    return "";
  }

 private:
  std::string_view text_;
  std::vector<Json5Node> nodes_;
};

inline std::string joined(const std::vector<std::string_view>& path) {
  std::string out;
  for (const std::string_view key : path) {
    if (!out.empty()) out += '.';
    out += key;
  }
  return out;
}

[[nodiscard]] inline bool has(const std::vector<std::string_view>& path, std::string_view key) {
  return std::ranges::find(path, key) != path.end();
}

[[nodiscard]] inline Result<Tree> tree_of(const SourceFile& file) {
  return Tree(file.text.view(), TRY(scan_json5(file.text.view())));
}

// A string that may be a key, of settings in which ${NAME} stands for a variable: appends what it
// is found to be.
void look_at_setting(const SourceFile& file, const Tree& tree, const Json5Node& node,
                     std::vector<Finding>& found);

// A member whose name is that of a variable of the environment, in a file that fills in none: the
// member gives way to one that says where the key is, so that the environment's own counts.
[[nodiscard]] Splice kept_elsewhere(const Json5Node& node);

}  // namespace gatehouse::cli::adopt
