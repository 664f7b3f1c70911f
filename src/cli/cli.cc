// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <CLI/CLI.hpp>

#include "cli/help.h"
#include "cli/verbs.h"

namespace gatehouse::cli {
namespace {

using Verb = Result<int> (*)(const Options&, const Wiring&);

constexpr int kUsage = 64;  // sysexits(3)

CLI::App* verb(CLI::App& app, Options& options, const char* name, const char* what, Verb call,
               Verb& chosen) {
  CLI::App* sub = app.add_subcommand(name, what);
  sub->add_flag_callback(
      "--json", [&options] { options.form = Form::kJson; }, "print JSON for programs");
  sub->add_option("--data", options.data, "the data directory");
  sub->add_option("--config", options.config, "the config file");
  sub->callback([call, &chosen] { chosen = call; });
  return sub;
}

// For verbs that go to an admin API elsewhere too.
void add_server(CLI::App* sub, Options& options) {
  sub->add_option("--server", options.server, "https://HOST:PORT of a gatehouse elsewhere");
  sub->add_option("--server-ca", options.server_ca, "further trust anchors (PEM) for it");
}

void add_running(CLI::App& app, Options& options, Verb& chosen) {
  CLI::App* init_verb =
      verb(app, options, "init", "write a commented gatehouse.yaml", init, chosen);
  init_verb->add_option("--admin", options.admin, "the first user, with the role owner (alice)");
  init_verb->add_option("DIR", options.directory, "where to write it (default: here)");
  CLI::App* up_verb = verb(app, options, "up", "run the gatehouse in the foreground", up, chosen);
  up_verb->add_option("--log", options.log, "text or json, instead of what the config says")
      ->check(CLI::IsMember({"text", "json"}));
  up_verb
      ->add_option("--limits", options.limits,
                   "best-effort: runs go without the limits that this host does not enforce")
      ->check(CLI::IsMember({"enforced", "best-effort"}));
  up_verb->add_flag("--allow-no-landlock", options.no_landlock,
                    "start also where the kernel has no Landlock");
  CLI::App* run = verb(app, options, "run", "start an agent in a sandbox on behalf of a user",
                       start_run, chosen);
  run->add_option("--agent,-a", options.agent, "which agent")->required();
  run->add_option("--user,-u", options.user, "on whose behalf")->required();
  run->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  run->add_option("--env,-e", options.environment, "NAME=VALUE, more than once if need be")
      ->allow_extra_args(false);
  run->add_flag("--no-pty", options.no_pty, "no terminal inside, even when this is one");
  run->add_option("CMD", options.command, "the command (default: the agent's own)");
  run->positionals_at_end();
  CLI::App* outside =
      verb(app, options, "attach", "start an agent outside of a sandbox, behind a forwarder",
           attach, chosen);
  outside->add_option("--agent,-a", options.agent, "which agent")->required();
  outside->add_option("--user,-u", options.user, "on whose behalf, for who is not that user");
  outside->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  add_server(outside, options);
  outside->add_option("--env,-e", options.environment, "NAME=VALUE, more than once if need be")
      ->allow_extra_args(false);
  outside->add_option("CMD", options.command, "the command")->required();
  outside->positionals_at_end();
  CLI::App* kill_verb = verb(app, options, "kill", "stop a run at once, durably", kill, chosen);
  kill_verb->add_option("RUN", options.run, "run_...");
  kill_verb->add_option("--tenant", options.tenant, "of which tenant, for who is signed in");
  add_server(kill_verb, options);
  kill_verb->add_flag("--all", options.all, "everything");
  kill_verb->add_flag("--destroy", options.destroy, "end the sandbox instead of freezing it");
  kill_verb->add_option("--reason", options.reason, "for the record");
  CLI::App* revive_verb = verb(app, options, "revive", "let a killed run go on", revive, chosen);
  revive_verb->add_option("RUN", options.run, "run_...");
  revive_verb->add_option("--tenant", options.tenant, "of which tenant, for who is signed in");
  add_server(revive_verb, options);
  revive_verb->add_flag("--all", options.all, "everything");
  verb(app, options, "reload", "read the config again and put it in force, dropping nothing",
       reload, chosen);
  verb(app, options, "status", "the roles, and what is killed", status, chosen);
  verb(app, options, "metrics", "what Prometheus reads", print_metrics, chosen);
  verb(app, options, "doctor", "try what each role can still do, and say what is not enforced",
       doctor, chosen);
  CLI::App* bundle =
      verb(app, options, "support-bundle",
           "write a file for whoever helps, without names and secrets", support_bundle, chosen);
  bundle->add_option("FILE", options.output, "where to write it")->required();
  bundle->add_option("--log", options.log, "the house's log: its last lines go with it, redacted");
}

void add_keeping(CLI::App& app, Options& options, Verb& chosen) {
  CLI::App* make = verb(app, options, "backup", "write all that the house keeps into one file",
                        make_backup, chosen);
  make->add_option("FILE", options.file, "a new file, or a directory to make one in")->required();
  make->add_flag("--with-key", options.with_key,
                 "put the vault's root key in: who has the file then has every credential");
  CLI::App* back = verb(app, options, "restore", "make a data directory out of a backup",
                        restore_backup, chosen);
  back->add_option("FILE", options.file, "the backup")->required();
  back->add_option("--key", options.key, "the vault's root key, if the backup has none");
  back->add_flag("--force", options.force, "a directory that is there is renamed and kept");
  back->add_flag("--check", options.only_check, "only say whether the backup is whole");
  CLI::App* another =
      verb(app, options, "upgrade", "say what a start of this version would do to a data directory",
           check_upgrade, chosen);
  another->add_flag("--check", options.only_check, "look only, and change nothing");
  another->add_option("--backup", options.file,
                      "a backup, or the directory of them, to verify (default: what the log says)");
}

void add_looking(CLI::App& app, Options& options, Verb& chosen) {
  CLI::App* link =
      verb(app, options, "connect", "link an account: a key, or OAuth", connect, chosen);
  link->add_option("SERVICE", options.service, "which service")->required();
  link->add_option("--user,-u", options.user, "whose account");
  link->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  link->add_option("--from-file", options.from_file, "read the key from this file");
  link->add_option("--from-env", options.from_env, "read the key from this variable");
  link->add_option("--client-secret-file", options.client_secret_file,
                   "store the secret of the OAuth client instead");
  link->add_flag("--remove", options.remove, "unlink it");
  CLI::App* adopt = verb(app, options, "adopt", "move the keys in an agent's files into the vault",
                         adopt_keys, chosen);
  adopt->add_option("PATH", options.directory, "~/.openclaw, ~/.claude, ~/.codex, or a .env")
      ->required();
  adopt->add_option("--user,-u", options.user, "whose accounts the keys are of");
  adopt->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  adopt->add_option("--agent,-a", options.agent, "say only what this agent lacks");
  adopt->add_flag("--create", options.create, "make the services that are missing");
  adopt->add_flag("--replace", options.replace, "also where another key is connected already");
  adopt->add_flag("--dry-run", options.dry_run, "change nothing");
  adopt->add_flag("--undo", options.undo, "put the files back as they were");
  adopt->add_flag("--forget", options.forget, "remove what --undo would need: it holds the keys");
  CLI::App* links = verb(app, options, "connections", "list linked accounts (never their values)",
                         list_connections, chosen);
  links->add_option("--user,-u", options.user, "whose");
  links->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  CLI::App* runs = verb(app, options, "runs", "list runs, the newest first", list_runs, chosen);
  runs->add_option("--most,-n", options.most, "how many");
  runs->add_option("--tenant", options.tenant, "of which tenant, for who is signed in");
  add_server(runs, options);
  CLI::App* objects = verb(app, options, "objects", "list tenants, users, services, agents, rules",
                           list_objects, chosen);
  objects->alias("ls");
  objects->add_option("KIND", options.kind, "only these");
  CLI::App* story = verb(app, options, "transcript", "the story of a run", transcript, chosen);
  story->add_option("RUN", options.run, "run_..., or a trace id")->required();
  story->add_option("--tenant", options.tenant, "of which tenant, for who is signed in");
  add_server(story, options);
  story->add_flag("--full", options.full, "long inputs and outputs in full");
  CLI::App* audit = app.add_subcommand("audit", "the audit log");
  audit->require_subcommand(1);
  CLI::App* verify =
      verb(*audit, options, "verify", "prove the log intact, offline", verify_audit, chosen);
  verify->add_option("DIR", options.directory, "the log's directory (default: DATA/audit)");
  CLI::App* config = app.add_subcommand("config", "the config file");
  config->require_subcommand(1);
  CLI::App* check =
      verb(*config, options, "check", "say what is wrong with the config", check_config, chosen);
  check->add_option("FILE", options.files, "another file, or several");
  verb(*config, options, "schema", "print the JSON Schema of the config", print_schema, chosen);
}

void add_people(CLI::App& app, Options& options, Verb& chosen) {
  CLI::App* in = verb(app, options, "login", "sign in, by the browser or by a code", login, chosen);
  in->add_option("--tenant", options.tenant, "of which tenant, if there are several");
  in->add_option("--issuer", options.issuer, "at which issuer, if there are several");
  in->add_flag("--device", options.device, "by a code that is typed in elsewhere");
  in->add_option("--token-file", options.token_file,
                 "as a service account, by the token in this file");
  add_server(in, options);
  add_server(verb(app, options, "logout", "end the session", logout, chosen), options);
  add_server(
      verb(app, options, "whoami", "who is signed in, and with which roles", who_am_i, chosen),
      options);
}

struct Noun {
  const char* name;
  const char* what;
};
constexpr Noun kNouns[] = {
    {"tenant", "organisations; nothing crosses them"},
    {"user", "people"},
    {"group", "people together"},
    {"account", "programs that sign in with a token of an issuer's"},
    {"issuer", "whom a tenant trusts to say who somebody is"},
    {"binding", "who has which role"},
    {"service", "what agents may be let through to"},
    {"agent", "programs that act"},
    {"rule", "what an agent may do"},
};

// `user create alice --set login.subject=ada`, and so for each noun.
void add_objects(CLI::App& app, Options& options, Verb& chosen) {
  for (const Noun& noun : kNouns) {
    CLI::App* of = app.add_subcommand(noun.name, noun.what);
    of->require_subcommand(1);
    const std::string kind = noun.name;
    of->parse_complete_callback([&options, kind] { options.kind = kind; });
    const auto add = [&](const char* name, const char* what, Verb call) {
      CLI::App* sub = verb(*of, options, name, what, call, chosen);
      add_server(sub, options);
      if (kind != "tenant") sub->add_option("--tenant", options.tenant, "of which tenant");
      if (kind == "rule") sub->add_option("--agent,-a", options.agent, "of which agent");
      return sub;
    };
    const auto take_spec = [&](CLI::App* sub) {
      sub->add_option("--from-file,-f", options.from_file, "the spec, YAML or JSON; - reads it");
      sub->add_option("--set", options.settings, "KEY=VALUE of the spec, more than once if need be")
          ->allow_extra_args(false);
    };
    CLI::App* create = add("create", "make one", create_object);
    if (kind == "binding") {
      create->add_option("--role", options.role, "owner, security, approver, auditor, developer");
      create->add_option("--user,-u", options.user, "for this user");
      create->add_option("--group", options.group, "for this group");
      create->add_option("--account", options.account, "for this service account");
    } else {
      create->add_option("NAME", options.name, "how it is called")->required();
      take_spec(create);
    }
    add("list", "list them", list_kind);
    add("show", "show one", show_kind)->add_option("NAME", options.name, "which")->required();
    if (kind != "binding") {
      CLI::App* set = add("set", "change one", set_object);
      set->add_option("NAME", options.name, "which")->required();
      take_spec(set);
    }
    add("rm", "remove one", remove_object)->add_option("NAME", options.name, "which")->required();
    if (kind == "user" || kind == "account") {
      add("sign-out", "end all sessions of one", end_sessions)
          ->add_option("NAME", options.name, "which")
          ->required();
    }
  }
}

OptionWords words_of(const CLI::Option& option) {
  OptionWords words;
  if (option.nonpositional()) {
    for (const std::string& name : option.get_lnames()) words.names.push_back("--" + name);
    for (const std::string& name : option.get_snames()) words.names.push_back("-" + name);
  } else {
    words.names.push_back(option.get_name(true));
  }
  words.what = option.get_description();
  words.takes_value = option.get_items_expected_max() > 0;
  words.repeats = option.get_expected_max() > 1;
  return words;
}

// The tree of verbs as it is declared here.
VerbWords words_of(const CLI::App& app, std::string path) {
  VerbWords words;
  words.names.push_back(app.get_name());
  for (const std::string& alias : app.get_aliases()) words.names.push_back(alias);
  words.what = app.get_description();
  for (const CLI::Option* option : app.get_options({})) {
    (option->nonpositional() ? words.options : words.positionals).push_back(words_of(*option));
  }
  for (const CLI::App* inner : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.verbs.push_back(words_of(*inner, path + "/" + inner->get_name()));
  }
  words.path = std::move(path);
  return words;
}

// `gatehouse help audit verify`: of the verb that the words name; of all, without words.
Result<int> show_help(CLI::App& app, const Options& options, const Wiring& wiring) {
  const std::vector<std::string>& words = options.files;
  if (!words.empty() && words.front() == "errors") {
    return help_errors({words.begin() + 1, words.end()}, options.form, wiring);
  }
  if (options.form == Form::kJson) {
    print(json_of(words_of(app, "")));
    return 0;
  }
  CLI::App* of = &app;
  std::string name = "gatehouse";
  for (const std::string& word : words) {
    const std::vector<CLI::App*> named =
        of->get_subcommands([&](const CLI::App* verb) { return verb->check_name(word); });
    if (named.empty()) {
      return failure(Error::kNotFound,
                     "there is no verb \"" + word + "\"; `gatehouse help` lists them");
    }
    of = named.front();
    name += " " + word;
  }
  // help() would go on to a subcommand that was parsed, which is `help` itself.
  print(of->get_formatter()->make_help(of, name, CLI::AppFormatMode::Normal));
  return 0;
}

}  // namespace

int run_cli(int argc, char** argv, const Wiring& wiring) {
  Options options;
  Verb chosen = nullptr;
  CLI::App app("gatehouse: run AI agents without giving them keys", "gatehouse");
  app.require_subcommand(1);
  app.set_version_flag("--version", "gatehouse " GATEHOUSE_VERSION);
  add_running(app, options, chosen);
  add_keeping(app, options, chosen);
  add_looking(app, options, chosen);
  add_people(app, options, chosen);
  add_objects(app, options, chosen);
  CLI::App* help_verb = app.add_subcommand("help", "this text, that of a verb, or of errors");
  help_verb->add_option("VERB", options.files, "which; or: errors [CODE]...");
  help_verb->add_flag_callback(
      "--json", [&options] { options.form = Form::kJson; }, "all verbs, or the errors, as JSON");
  CLI::App* completion =
      app.add_subcommand("completion", "print a script by which a shell completes our words");
  completion->add_option("SHELL", options.output, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return kUsage;
  }
  if (completion->parsed()) {
    print(completion_for(options.output, words_of(app, "")));
    return 0;
  }
  const Result<int> done =
      chosen == nullptr ? show_help(app, options, wiring) : chosen(options, wiring);
  return done ? *done : complain(options.form, done.error());
}

}  // namespace gatehouse::cli
