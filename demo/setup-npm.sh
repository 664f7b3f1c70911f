#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the fixtures' npm packages (a Node of its own, OpenClaw and other agents, the clients of
# model providers, A2A's SDK, oidc-provider, MCP's server-everything) into build/npm, and has Node
# compile OpenClaw once for all runs. Does nothing when that is there already in these versions.
#
#   demo/setup-npm.sh [TARGET]        TARGET defaults to build/npm
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/build/npm}
wanted=$(cat "$root/tests/fixtures/package.json" "$root/tests/fixtures/package-lock.json" |
  sha256sum | cut -d' ' -f1)
receiver=$root/tests/fixtures/receiver
wanted_receiver=$(cat "$receiver/package.json" "$receiver/package-lock.json" |
  sha256sum | cut -d' ' -f1)

# What is compiled is what a turn loads, which OpenClaw's settings decide.
turn=$(cat "$root/demo/openclaw/openclaw.json" "$root/demo/warm-cache" | sha256sum | cut -d' ' -f1)

link_fixtures() {
  # The fixtures are plain files in the source tree; Node looks for packages above them.
  ln -sfn "$target/node_modules" "$root/tests/fixtures/node_modules"
  ln -sfn "$target/receiver/node_modules" "$receiver/node_modules"
}

is_done() { [ "$(cat "$target/$1" 2>/dev/null || true)" = "$2" ]; }

# The receiver of OTLP, apart: OpenClaw would take what that needs for its own.
install_receiver() {
  mkdir -p "$target/receiver"
  rm -f "$target/installed-receiver"
  cp "$receiver/package.json" "$receiver/package-lock.json" "$target/receiver/"
  (cd "$target/receiver" &&
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error)
  echo "$wanted_receiver" > "$target/installed-receiver"
}

install() {
  command -v npm >/dev/null || { echo "npm is needed (apt-get install npm)" >&2; exit 1; }
  mkdir -p "$target"
  rm -f "$target/installed" "$target/compiled"
  cp "$root/tests/fixtures/package.json" "$root/tests/fixtures/package-lock.json" "$target/"
  echo "npm packages: installing into $target (about 1.9 GB on disk, a minute)"
  started=$(date +%s)
  # No install scripts: what runs here is what the lock file's hashes name, and nothing else.
  # The engine warnings are about the system's Node, which only unpacks.
  (cd "$target" &&
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error)
  # OpenClaw's first start completes its own installation; in the sandbox its files are read-only.
  scratch=$(mktemp -d)
  HOME=$scratch "$target/node_modules/.bin/node" "$target/node_modules/openclaw/openclaw.mjs" \
    --version 2>"$scratch/stderr" || { cat "$scratch/stderr" >&2; exit 1; }
  rm -rf "$scratch"
  echo "$wanted" > "$target/installed"
  echo "npm packages: installed in $(($(date +%s) - started)) s"
}

if is_done installed "$wanted"; then
  echo "npm packages: already in $target"
else
  install
fi
is_done installed-receiver "$wanted_receiver" || install_receiver
link_fixtures  # another checkout may have installed them
if ! is_done compiled "$wanted $turn"; then
  echo "npm packages: OpenClaw is compiled, once (some seconds)"
  "$root/demo/warm-cache" "$target/node_modules"
  echo "$wanted $turn" > "$target/compiled"
fi
