// SPDX-License-Identifier: Apache-2.0
// `gatehouse completion`: the scripts are made of the tree of verbs. Each finds the verb that the
// words before the cursor name, and offers what may stand behind it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/help.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

void write_options(wire::JsonWriter& writer, const std::vector<OptionWords>& options) {
  writer.begin_array();
  for (const OptionWords& option : options) {
    writer.begin_object().key("names").begin_array();
    for (const std::string& name : option.names) writer.string(name);
    writer.end_array().key("what").string(option.what);
    writer.key("takes_value").boolean(option.takes_value);
    writer.key("repeats").boolean(option.repeats).end_object();
  }
  writer.end_array();
}

void write_verb(wire::JsonWriter& writer, const VerbWords& verb) {
  writer.begin_object().key("names").begin_array();
  for (const std::string& name : verb.names) writer.string(name);
  writer.end_array().key("what").string(verb.what).key("options");
  write_options(writer, verb.options);
  writer.key("positionals");
  write_options(writer, verb.positionals);
  writer.key("verbs").begin_array();
  for (const VerbWords& inner : verb.verbs) write_verb(writer, inner);
  writer.end_array().end_object();
}

// Every verb of the tree, the command itself first.
void gather(const VerbWords& verb, std::vector<const VerbWords*>& all) {
  all.push_back(&verb);
  for (const VerbWords& inner : verb.verbs) gather(inner, all);
}

std::vector<const VerbWords*> all_of(const VerbWords& command) {
  std::vector<const VerbWords*> all;
  gather(command, all);
  return all;
}

// The patterns of a `case` over "$at/$word" that lead to another verb.
std::string steps(const std::vector<const VerbWords*>& all, std::string_view between) {
  std::vector<std::string> paths;
  for (const VerbWords* verb : all) {
    if (verb->path.empty()) continue;
    const std::string above = verb->path.substr(0, verb->path.rfind('/'));
    for (const std::string& name : verb->names) paths.push_back(above + "/" + name);
  }
  return fmt::format("{}", fmt::join(paths, between));
}

std::string offers(const VerbWords& verb) {
  std::vector<std::string> words;
  for (const VerbWords& inner : verb.verbs) words.push_back(inner.names.front());
  for (const OptionWords& option : verb.options) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  }
  return fmt::format("{}", fmt::join(words, " "));
}

std::string valued(const VerbWords& verb) {
  std::vector<std::string> names;
  for (const OptionWords& option : verb.options) {
    if (!option.takes_value) continue;
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return fmt::format(" {} ", fmt::join(names, " "));
}

// The arms of a `case` over the path: what it offers, and which options want a value next.
std::string arms(const std::vector<const VerbWords*>& all) {
  std::string text;
  for (const VerbWords* verb : all) {
    text += fmt::format("    '{}') offers='{}' valued='{}' ;;\n", verb->path, offers(*verb),
                        valued(*verb));
  }
  return text;
}

constexpr std::string_view kBash = R"(# gatehouse, completed by bash: source it, or put it into
# /etc/bash_completion.d/. Made by `gatehouse completion bash`.
_gatehouse() {{
  local at='' offers='' valued='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${{COMP_WORDS[i]}} == -- ]] && return
    case "$at/${{COMP_WORDS[i]}}" in
    {0}) at="$at/${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$at" in
{1}  esac
  COMPREPLY=()
  [[ $valued == *" ${{COMP_WORDS[COMP_CWORD - 1]}} "* ]] && return
  mapfile -t COMPREPLY < <(compgen -W "$offers" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _gatehouse gatehouse
)";

constexpr std::string_view kZsh = R"(#compdef gatehouse
# gatehouse, completed by zsh: put it as _gatehouse into a directory of $fpath. Made by
# `gatehouse completion zsh`.
_gatehouse() {{
  local at='' offers='' valued=''
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    [[ ${{words[i]}} == -- ]] && {{ _files; return }}
    case "$at/${{words[i]}}" in
    {0}) at="$at/${{words[i]}}" ;;
    esac
  done
  case "$at" in
{1}  esac
  if [[ $valued == *" ${{words[CURRENT - 1]}} "* ]]; then _files; return; fi
  compadd -- ${{=offers}}
  _files
}}
compdef _gatehouse gatehouse
)";

constexpr std::string_view kFish = R"(# gatehouse, completed by fish: put it into
# ~/.config/fish/completions/gatehouse.fish. Made by `gatehouse completion fish`.
function __gatehouse_at
  set -l at ''
  set -l tokens (commandline -opc)
  set -e tokens[1]
  for word in $tokens
    switch "$at/$word"
      case {0}
        set at "$at/$word"
    end
  end
  test "$at" = "$argv[1]"
end
{1})";

// In single quotes, for fish.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_lines(const std::vector<const VerbWords*>& all) {
  std::string text;
  for (const VerbWords* verb : all) {
    const std::string here =
        fmt::format("complete -c gatehouse -n '__gatehouse_at \"{}\"'", verb->path);
    for (const VerbWords& inner : verb->verbs) {
      text += fmt::format("{} -a {} -d {}\n", here, inner.names.front(), quoted(inner.what));
    }
    for (const OptionWords& option : verb->options) {
      text += here;
      for (const std::string& name : option.names) {
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      text += fmt::format("{} -d {}\n", option.takes_value ? " -r" : "", quoted(option.what));
    }
  }
  return text;
}

}  // namespace

std::string json_of(const VerbWords& command) {
  wire::JsonWriter writer;
  write_verb(writer, command);
  return std::move(writer).text() + "\n";
}

std::string completion_for(const std::string& shell, const VerbWords& command) {
  const std::vector<const VerbWords*> all = all_of(command);
  if (shell == "bash") return fmt::format(kBash, steps(all, "|"), arms(all));
  if (shell == "zsh") return fmt::format(kZsh, steps(all, "|"), arms(all));
  return fmt::format(kFish, steps(all, " "), fish_lines(all));
}

}  // namespace gatehouse::cli
