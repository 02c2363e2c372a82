# lmptop: every target installs what it misses (Debian and its kin) and says so.
# Wanted beforehand: make and Rust 1.88 or newer (rustup); everything else is looked after here.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

# Arguments for lmptop in `make run`, e.g. make run ARGS='-i 500ms'.
ARGS ?=
# Kernels for `make test-kernels`; 5.10, 6.1 and 6.12 are known.
KERNELS ?= 6.1
# How long `make fuzz` runs, in seconds, and the sanitizer it runs with.
SECONDS ?= 600
SANITIZER ?= none
# Where tests find a python3 with DuckDB, when `make deps-witness` has made one.
export LMPTOP_PYTHON ?= $(abspath $(wildcard target/witness/bin/python))
# Nothing when already root; else how to become it.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

# What must be there, as file-or-command:package.
BUILD_NEEDS := cc:gcc /usr/include/stdio.h:libc6-dev clang:clang autoconf:autoconf \
	automake:automake autopoint:autopoint libtoolize:libtool gawk:gawk flex:flex \
	bison:bison pkg-config:pkg-config
TEST_NEEDS := python3:python3 ip:iproute2 ps:procps readelf:binutils
KERNEL_NEEDS := qemu-system-x86_64:qemu-system-x86 dpkg-deb:dpkg xz:xz-utils

# need(why, pairs): installs the packages of the pairs whose file or command is missing.
define need
missing=(); \
for pair in $(2); do \
  [ -e "$${pair%%:*}" ] || command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair##*:}"); \
done; \
if [ $${#missing[@]} -gt 0 ]; then \
  if ! command -v apt-get >/dev/null; then \
    echo "lmptop needs these $(1), by their Debian names: $${missing[*]}; install them and run make again" >&2; exit 1; \
  fi; \
  if [ "$$(id -u)" != 0 ] && [ -z "$(SUDO)" ]; then \
    echo "lmptop needs these packages $(1): $${missing[*]}; run this as root: apt-get install $${missing[*]}" >&2; exit 1; \
  fi; \
  echo "Installing $(1): $${missing[*]}"; \
  $(SUDO) apt-get update -qq; \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
fi
endef

.PHONY: help run build test test-kernels bench fuzz fuzz-keep screenshots fmt lint deps deps-build deps-test deps-kernels deps-witness cargo

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Builds lmptop and opens it, as root when it can (ARGS='...' are passed on)
	@$(SUDO) target/release/lmptop $(ARGS)

build: deps-build ## Builds target/release/lmptop, which needs nothing but glibc
	@echo "Building the release binary (the first time takes some minutes)"
	@cargo build --release --locked

test: deps-test ## Runs every test on this machine; those that need root run when you are root
	@echo "Running the tests (the first build takes some minutes)"
	@cargo test --locked --no-fail-fast

test-kernels: deps-kernels ## Boots Debian kernels in qemu and checks lmptop there (KERNELS='5.10 6.1 6.12')
	@echo "Testing on kernels $(KERNELS)"
	@cargo test --release --locked --test kernels -- $(KERNELS)

bench: deps-test ## Measures lmptop beside its peers
	@cargo bench --locked

fuzz: deps-build ## Feeds the parser of tools arbitrary bytes (SECONDS=600, SANITIZER=address)
	@command -v cargo-fuzz >/dev/null || { echo "Installing cargo-fuzz"; cargo install --locked cargo-fuzz; }
	@$(call need,to unpack the corpus,zstd:zstd)
	@mkdir -p fuzz/corpus/parser fuzz/seeds
	@tar -C fuzz -I zstd -xf fuzz/corpus.tar.zst
	@for f in tests/tools/corpus/*.out; do head -c 4000 "$$f" > "fuzz/seeds/$$(basename "$$f")"; done
	@RUSTC_BOOTSTRAP=1 cargo fuzz run -s $(SANITIZER) parser fuzz/corpus/parser fuzz/seeds -- \
	  -max_total_time=$(SECONDS) -max_len=1500 -timeout=20 -rss_limit_mb=1500

fuzz-keep: ## Keeps what the fuzzing found, made small
	@mkdir -p fuzz/kept/corpus/parser
	@RUSTC_BOOTSTRAP=1 cargo fuzz run -s $(SANITIZER) parser fuzz/kept/corpus/parser fuzz/seeds fuzz/corpus/parser -- \
	  -merge=1 -use_counters=0 -max_len=1500
	@tar --sort=name --mtime=@0 --owner=0 --group=0 -C fuzz/kept -I 'zstd -19' -cf fuzz/corpus.tar.zst corpus
	@rm -r fuzz/kept

screenshots: deps-build deps-test ## Draws screenshots/ from a recording
	@cargo build --release --locked --example screenshots
	@$(SUDO) target/release/examples/screenshots screenshots
	@[ -z "$(SUDO)" ] || $(SUDO) chown -R "$$(id -u):$$(id -g)" screenshots

fmt: ## Formats the Rust code
	@cargo fmt

lint: deps-build ## Checks the formatting and runs clippy; a warning is an error
	@cargo fmt --check
	@cargo clippy --locked --all-targets -- -D warnings
	@cargo clippy --locked --test kernels -- -D warnings

deps: deps-build deps-test deps-kernels ## Installs everything that any target here needs

cargo:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs and run make again" >&2; exit 1; }

deps-build: cargo
	@$(call need,to build,$(BUILD_NEEDS))

deps-test: deps-build
	@$(call need,to test,$(TEST_NEEDS))

deps-kernels: deps-build
	@$(call need,to boot kernels,$(KERNEL_NEEDS))

deps-witness: cargo ## Installs a browser and DuckDB: tests open what lmptop exports with them when they are there
	@$(call need,to open what is exported,chromium:chromium python3:python3 /usr/share/doc/python3-venv:python3-venv)
	@[ -x target/witness/bin/python ] || { echo "Installing DuckDB into target/witness"; python3 -m venv target/witness; }
	@target/witness/bin/python -c 'import duckdb' 2>/dev/null || target/witness/bin/python -m pip install -q duckdb
