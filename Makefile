# SPDX-License-Identifier: Apache-2.0
# The front door. `make` alone lists what there is; the work is in tools/ and tests/.
.DEFAULT_GOAL := help
.PHONY: help build install deb sbom oci demo test soak bench-gateway profile fuzz asan tsan tidy
.PHONY: tidy-deep format clean
SHELL := /bin/bash

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: build ## a real agent does a real job, is told to misbehave, and is stopped
	@demo/setup-npm.sh
	@demo/run

test: ## everything, from nothing: packages, build, unit, sanitizers, fuzz, integration, demo
	@tools/run-tests

build: ## the dev build, in build/dev/bin
	@tools/bootstrap
	@cmake --preset dev -Wno-dev >/dev/null
	@ninja -C build/dev

install: ## the release build, below DESTDIR and PREFIX (/usr/local)
	@tools/bootstrap
	@cmake --preset release -Wno-dev >/dev/null
	@ninja -C build/release
	@cmake --install build/release --strip --prefix "$(or $(PREFIX),/usr/local)"

deb: ## the Debian package, in build/release/packages
	@tools/bootstrap
	@cmake --preset release -Wno-dev >/dev/null
	@ninja -C build/release
	@cd build/release && cpack

sbom: deb ## the bill of materials of the release build, SPDX 2.3, beside the package
	@tools/sbom build/release >build/release/packages/gatehouse.spdx.json

oci: deb ## an OCI image of the package, in build/release/packages (as root)
	@tools/bootstrap image
	@tools/oci build/release/packages/gatehouse_*.deb build/release/packages/gatehouse-oci.tar

asan: ## unit tests, and a house under load, under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/run-tests bootstrap asan

tsan: ## unit tests of net and ipc under ThreadSanitizer
	@tools/run-tests bootstrap tsan

fuzz: ## each fuzz target for a minute (FUZZ_SECONDS)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tools/run-tests bootstrap fuzz

soak: ## fuzz and the unit tests again and again for an hour (SOAK_SECONDS)
	@tools/soak

bench-gateway: ## speed and memory beside nginx, to build/bench/gateway.json
	@tools/bootstrap bench
	@tests/bench/setup-npm
	@cmake --preset release -Wno-dev >/dev/null
	@ninja -C build/release
	@tests/bench/run-gateway

profile: ## cmake/release.profdata anew, by which the release build is laid out
	@tools/profile

tidy: ## the source rules alone: layers, banned calls, lengths
	@tools/tidy

tidy-deep: build ## clang-tidy over the whole tree: minutes
	@tools/tidy-deep

format: ## clang-format, in place
	@git ls-files '*.h' '*.cc' | xargs -r clang-format-19 -i

clean: ## everything that was built
	rm -rf build
