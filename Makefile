# The commands of this project. `make run` and `make test` need nothing but a Rust toolchain: what else is missing is
# installed when this runs as root on Debian, and named otherwise.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A toolchain fresh from rustup is not on the PATH of a shell that is already open.
export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
POSTGRES := scripts/test-postgres.sh

.PHONY: help run demo test check fmt bench faults ears soak fuzz mutants train eval tools

help: ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: tools ## build the release and start the server with a sample call (PORT=… to move it)
	$(CARGO) build --release --locked --bin caly
	exec "$(TARGET)/release/caly" serve --demo

demo: tools ## place simulated calls against the server that `make run` started: three at once, and one that has things done
	$(CARGO) build --release --locked --bin caly
	"$(TARGET)/release/caly" call --count 3 --parallel 3
	"$(TARGET)/release/caly" call --scenario errands

test: tools ## run every test, on SQLite and on a throw-away PostgreSQL
	@trap '$(POSTGRES) stop >/dev/null 2>&1 || true' EXIT; \
	if settings=$$($(POSTGRES) start); then eval "$$settings"; \
	else echo "PostgreSQL could not be started: its half of the tests will fail" >&2; fi; \
	if $(CARGO) nextest --version >/dev/null 2>&1; \
	then NEXTEST_TEST_THREADS=$$(($$(nproc) * 2)) $(CARGO) nextest run --workspace --features planned-panics --locked --no-fail-fast; \
	else $(CARGO) test --workspace --features planned-panics --locked --no-fail-fast --lib --bins --tests; fi; \
	$(CARGO) test --workspace --locked --doc --quiet

check: tools ## everything that must hold before a commit: format, lints, docs, tests
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --features planned-panics --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	@if $(CARGO) deny --version >/dev/null 2>&1; \
	then $(CARGO) deny --offline check licenses bans sources; \
	else echo "cargo-deny is not installed: licences are not checked (cargo install cargo-deny)" >&2; fi
	@$(MAKE) test

fmt: ## format all sources
	$(CARGO) fmt --all

bench: tools ## measure the path of an audio frame
	$(CARGO) bench --locked --bench relay

train: tools ## train the model of intents from actors/data/understand (half a minute)
	$(CARGO) bench --quiet --locked -p caly-actors --bench understand -- train

eval: tools ## measure how wordings are understood that training never saw
	$(CARGO) bench --quiet --locked -p caly-actors --bench understand -- eval

ears: ## play the labelled set of backchannels, interruptions, noises and echoes against a release server (8 minutes)
	@CAMPAIGN=ears $(MAKE) faults

CAMPAIGN ?= kill drain endings actions crashes ears leak database idle
faults: tools ## do harm to a release server under live calls, and judge it (CAMPAIGN=kill for one; all: 90 minutes)
	$(CARGO) build --release --locked --bin caly
	$(CARGO) bench --locked --bench faults --no-run
	@trap '$(POSTGRES) stop >/dev/null 2>&1 || true' EXIT; \
	settings=$$($(POSTGRES) start); eval "$$settings"; missed=(); \
	for campaign in $(CAMPAIGN); do \
	  binary="$${CALY_BIN:-$(TARGET)/release/caly}"; \
	  if [ $$campaign = actions ] || [ $$campaign = crashes ]; then \
	    $(CARGO) build --locked --bin caly --features planned-panics || exit 1; \
	    binary="$(TARGET)/debug/caly"; fi; \
	  CALY_BIN="$$binary" $(CARGO) bench --quiet --locked --bench faults -- $$campaign || missed+=($$campaign); \
	done; \
	[ $${#missed[@]} = 0 ] || { echo "goals missed in: $${missed[*]}" >&2; exit 1; }

SEEDS ?= 100000
soak: tools ## simulate SEEDS (100000) whole calls with faults at any moment, against the 2,000 of each test run
	CALY_SEEDS=$(SEEDS) $(CARGO) test --release -p caly-actors --features planned-panics --locked --test simulation -- --nocapture

FUZZ_SECONDS ?= 600
fuzz: tools ## throw hostile input at each door for FUZZ_SECONDS (600); needs cargo-fuzz and a C++ compiler
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@# libFuzzer's hooks are unstable compiler flags, which a stable compiler takes with this variable.
	export RUSTC_BOOTSTRAP=1; \
	for door in media webhooks engine configuration frames; do \
	  mkdir -p "$(TARGET)/fuzz/$$door"; \
	  $(CARGO) fuzz run --fuzz-dir tests/fuzz --target-dir "$(TARGET)/fuzz-build" --sanitizer none $$door \
	    "$(TARGET)/fuzz/$$door" tests/fuzz/corpus/$$door -- -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10; \
	done

WHICH ?= call doors webhooks
SHARD ?= 0/1
mutants: tools ## change the code in small ways and see whether a test notices (WHICH=call, SHARD=0/5 for every fifth)
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install cargo-mutants --locked" >&2; exit 1; }
	@# Each part with the tests that are about it: all of them for each change would take days.
	@trap '$(POSTGRES) stop >/dev/null 2>&1 || true' EXIT; \
	settings=$$($(POSTGRES) start); eval "$$settings"; export CARGO_PROFILE_DEV_DEBUG=0; status=0; \
	try() { mkdir -p "$(TARGET)/mutants/$$part"; \
	  nice $(CARGO) mutants --output "$(TARGET)/mutants/$$part" --sharding round-robin --shard $(SHARD) "$$@" || status=$$?; }; \
	for part in $(WHICH); do case $$part in \
	  call) try -p caly-actors -- --lib --tests ;; \
	  doors) try -p caly --re 'src/(tokens|http/api/auth|store/recorder/queue)' -- \
	    --lib -E 'test(tokens) | test(http::api) | test(recorder)' ;; \
	  webhooks) try -p caly --re 'src/(http/webhooks|store/recorder/apply)' -- --test program --test store \
	    -E 'binary(store) | test(/^(webhooks|bad_webhooks|orders|media_door|conversations|restart)::/)' ;; \
	  *) echo "WHICH: call, doors or webhooks, not $$part" >&2; status=2 ;; \
	esac; done; exit $$status

tools:
	@if ! command -v $(CARGO) >/dev/null; then \
	  echo "cargo is missing: install a Rust toolchain, see https://rustup.rs" >&2; exit 1; fi
	@missing=(); \
	command -v cc >/dev/null || missing+=(build-essential); \
	command -v pkg-config >/dev/null || missing+=(pkg-config); \
	command -v curl >/dev/null || missing+=(curl); \
	if [ $${#missing[@]} -gt 0 ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $${missing[*]}" >&2; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } >&2; \
	  else \
	    echo "missing: $${missing[*]}" >&2; \
	    echo "install with: sudo apt-get install -y $${missing[*]}" >&2; \
	    command -v cc >/dev/null || exit 1; \
	  fi; \
	fi
