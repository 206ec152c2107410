# The words that a person types. Each installs what it lacks and says so first; none needs the
# network a second time.
#
#   make demo       see it work: builds, starts a private redis-server, runs the quickstart on it
#   make test       runs every test
#   make            builds the library: target/release/librets.so, librets.a
#   make examples   builds examples-c/* into target/examples-c/
#   make install    PREFIX=/usr/local LIBDIR=$PREFIX/lib DESTDIR=
#   make header     writes include/rets.h and COMMANDS.md anew from the Rust sources
#   make servers    obtains the servers that the tests run against (RETS_TEST_SERVERS=7.0,6.2,8.2)
#   make differential SERVER=8.2 SECONDS=600 SEED=1
#                   random commands on one server for so long, digests compared after each burst
#   make chaos SERVER=8.2 SECONDS=600 SEED=1
#                   servers die and come back as others, the network is cut, slow or silent
#   make storm SERVER=8.2 PROCESSES=50
#                   so many processes attach at once, and again when their primary comes back: how
#                   often it forks for them, in each of its ways to make a snapshot
#   make slow SERVER=8.2 SECONDS=60
#                   a callback that does not return for so long, while a writer writes
#   make bench      what it costs beside its peers: tables, ratios, what is to be reached, and
#                   target/bench/results.json and plots/ (BLESS=1: benches/plots, of the README)
#     PART=lookups,sync,stream,latency,scale,edits,memory,footprint ROUNDS=5 TURN_MS=200
#     KEYS=1000000 ELEMENTS=1000000 COMMANDS=5000000 SCALE=10000000
#   make bench-counts
#                   instructions of the hot paths, beside benches/counts.baseline (BLESS=1: anew)
#   make simulate SECONDS=3600
#                   the engine under a simulated clock, network and primary; a seed that fails is
#                   told with the words that do the same again: make simulate SEED=1
#   make fuzz TARGET=rdb SECONDS=1800
#                   arbitrary bytes for so long, see fuzz/README.md
#   make miri       the C surface, lookups and the table's memory under Miri, which takes some
#                   minutes and a nightly compiler
#   make fmt, make lint, make clean, make help

SHELL := /bin/bash

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=

CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g

target := $(or $(CARGO_TARGET_DIR),target)
release := $(target)/release
examples := $(target)/examples-c

version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi := $(shell sed -n 's/^const ABI: u32 = \([0-9]*\);/\1/p' build.rs)

# What librets.a needs from the system, as `rustc --print native-static-libs` tells it.
static_libs := -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

strict := -Wall -Wextra -pedantic -Werror
uses_rets := -Iinclude -L$(release) -lrets -pthread -Wl,-rpath,'$$ORIGIN/../release'

SERVER ?= 8.2
SECONDS ?= 600
SEED ?=
TURNS ?=
WITHOUT ?=
TARGET ?= rdb
PROCESSES ?= 50

.PHONY: help library demo test differential chaos storm slow simulate bench bench-counts bench-maps bench-trial fuzz fuzz-corpora miri examples header install servers fmt lint clean

library:
	@if command -v cargo >/dev/null; then \
	    cargo build --release --lib; \
	elif [ -e $(release)/librets.so ]; then \
	    echo "there is no cargo here; taking $(release)/librets.so as it is"; \
	else \
	    echo "there is no cargo here; install Rust's stable toolchain with rustup" >&2; exit 1; \
	fi
	@ln -sfn librets.so $(release)/librets.so.$(abi)

programs := $(patsubst examples-c/%.c,$(examples)/%,$(wildcard examples-c/*.c)) \
            $(patsubst examples-c/%.cc,$(examples)/%,$(wildcard examples-c/*.cc))

examples: $(programs)

# The library is linked at run time, so programs are made anew only for a new header.
$(examples)/%: examples-c/%.c include/rets.h | library
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L $(strict) $(CFLAGS) -o $@ $< $(uses_rets)

$(examples)/%: examples-c/%.cc include/rets.h | library
	@mkdir -p $(@D)
	$(CXX) -std=c++11 $(strict) $(CXXFLAGS) -o $@ $< $(uses_rets)

demo:
	@tests/support/install redis-server
	@$(MAKE) --no-print-directory $(examples)/quickstart
	@examples-c/demo $(examples)/quickstart

test:
	@tests/support/install servers valgrind pkg-config rustfmt clippy
	@tests/support/run

# In release mode the server is the slower side.
differential:
	@RETS_TEST_SERVERS=$(SERVER) tests/support/install servers
	RETS_SERVER=$(SERVER) RETS_SECONDS=$(SECONDS) RETS_SEED=$(SEED) RETS_TEST_SERVERS=$(SERVER) \
	    cargo test --release --test differential both_sides -- --nocapture

chaos:
	@RETS_TEST_SERVERS=$(SERVER) tests/support/install servers
	RETS_SERVER=$(SERVER) RETS_SECONDS=$(SECONDS) RETS_SEED=$(SEED) RETS_TEST_SERVERS=$(SERVER) \
	    cargo test --release --test chaos a_replica_survives -- --nocapture

storm:
	@RETS_TEST_SERVERS=$(SERVER) tests/support/install servers
	RETS_SERVER=$(SERVER) RETS_PROCESSES=$(PROCESSES) RETS_TEST_SERVERS=$(SERVER) \
	    cargo test --release --test storm -- --nocapture --test-threads=1

slow: SECONDS = 60
slow:
	@RETS_TEST_SERVERS=$(SERVER) tests/support/install servers
	RETS_SERVER=$(SERVER) RETS_SECONDS=$(SECONDS) RETS_TEST_SERVERS=$(SERVER) \
	    cargo test --release --test slow -- --nocapture --test-threads=1

# What is measured of rets is measured from C programs, as a user would have it. Those named here
# need nothing but rets; the others are its peers.
bench_own := $(addprefix $(target)/bench/,follow ground lookups-rets lookups-memory)
bench_peers := $(addprefix $(target)/bench/,lookups-redis lookups-lmdb lookups-ets latency)

bench:
	@tests/support/install servers libhiredis-dev liblmdb-dev erlang-base
	@$(MAKE) --no-print-directory $(bench_own) $(bench_peers) bench-maps
	RETS_PART=$(PART) RETS_ROUNDS=$(ROUNDS) RETS_KEYS=$(KEYS) RETS_ELEMENTS=$(ELEMENTS) \
	    RETS_COMMANDS=$(COMMANDS) RETS_SCALE=$(SCALE) RETS_TURN_MS=$(TURN_MS) \
	    cargo bench --bench peers
	cargo run --release --locked --manifest-path benches/draw/Cargo.toml --target-dir $(target)/bench/draw -- \
	    $(target)/bench/results.json $(if $(BLESS),benches/plots,$(target)/bench/plots)

# Whether the benches still run, in small: without those parts and peers that take long or have to be
# installed, and nothing is measured.
bench-trial: $(bench_own)
	RETS_PEERS=none RETS_PART=lookups,sync,stream,scale RETS_TEST_SERVERS=$(or $(RETS_TEST_SERVERS),7.0) \
	    RETS_ROUNDS=1 RETS_TURN_MS=1 RETS_KEYS=2000 RETS_ELEMENTS=1000 RETS_COMMANDS=1000 \
	    RETS_SCALE=10000 cargo test --quiet --bench peers

bench_cc = @mkdir -p $(@D); $(CC) -std=c99 -D_GNU_SOURCE $(strict) $(CFLAGS) -o $@ $<

$(target)/bench/%: benches/%.c include/rets.h | library
	$(bench_cc) $(uses_rets)

$(target)/bench/lookups-%: benches/lookups/%.c benches/lookups/contender.h include/rets.h | library
	$(bench_cc) $(uses_rets)

$(target)/bench/lookups-redis: benches/lookups/redis.c benches/lookups/contender.h
	$(bench_cc) -pthread -lhiredis

$(target)/bench/lookups-lmdb: benches/lookups/lmdb.c benches/lookups/contender.h
	$(bench_cc) -pthread -llmdb

$(target)/bench/lookups-ets: benches/lookups/ets.escript
	@mkdir -p $(@D)
	install -m 755 $< $@

$(target)/bench/latency: benches/latency.c benches/lookups/contender.h include/rets.h | library
	$(bench_cc) $(uses_rets) -lhiredis

# In a folder of its own, so that the library with hashes that are the same in every run is never
# taken for the product.
bench-counts:
	@tests/support/install valgrind
	RETS_BLESS=$(BLESS) cargo bench --features fixed-seed --bench counts --target-dir $(target)/bench/counts

bench-maps:
	@echo "building the maps that lookups are compared with"
	cargo build --release --locked --manifest-path benches/maps/Cargo.toml --target-dir $(target)/bench/maps
	ln -sfn maps/release/rets-bench-maps $(target)/bench/lookups-maps

# With the checks of a debug build, so that a seed fails here as it does in `make test`.
simulate:
	RETS_ONLY=$(SEED) RETS_SECONDS=$(SECONDS) RETS_TURNS=$(TURNS) RETS_WITHOUT=$(WITHOUT) \
	    cargo test --profile simulate --test simulation -- --nocapture every_seed

# Sanitizers need a nightly compiler; what is fuzzed has next to no unsafe code for them to look at.
fuzz_targets := rdb resp command
fuzz_found := $(target)/fuzz
fuzz_run = cargo fuzz run --sanitizer none --fuzz-dir fuzz
fuzz_options = -timeout=10 -rss_limit_mb=2048 -max_len=8192 -dict=fuzz/command.dict -artifact_prefix=$(fuzz_found)/

fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "installing cargo-fuzz"; cargo install --locked cargo-fuzz; }
	@mkdir -p $(fuzz_found)/$(TARGET)
	tar xzf fuzz/corpus/$(TARGET).tar.gz -C $(fuzz_found)/$(TARGET)
	$(fuzz_run) $(TARGET) $(fuzz_found)/$(TARGET) -- $(fuzz_options) \
	    -max_total_time=$(SECONDS) -print_final_stats=1

# The same code reached with fewer and smaller files; in resp, where there is little code, also as
# often.
fuzz-corpora:
	@mkdir -p $(fuzz_found)/seeds
	RETS_FUZZ_SEEDS=$(abspath $(fuzz_found)/seeds) \
	    cargo test --test fuzz_corpora -- --ignored --exact write_seeds
	@for one in $(fuzz_targets); do \
	    rm -rf $(fuzz_found)/least && mkdir -p $(fuzz_found)/least $(fuzz_found)/$$one && \
	    tar xzf fuzz/corpus/$$one.tar.gz -C $(fuzz_found)/$$one && \
	    $(fuzz_run) $$one $(fuzz_found)/least $(fuzz_found)/$$one $(fuzz_found)/seeds/$$one -- \
	        $(fuzz_options) -merge=1 -use_counters=$$([ $$one = resp ]; echo $$((! $$?))) && \
	    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
	        -C $(fuzz_found)/least -cf - . | gzip -9n >fuzz/corpus/$$one.tar.gz || exit 1; \
	done

# Every access to memory, and what readers and the writer share in a few orders: `tests/orderings` has
# all orders, but of models. Blocks are handed on as words, and readers' seats stay for ever.
miri:
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks" \
	    cargo +nightly miri test --lib -- ffi::tests memory::heap memory::block memory::piece \
	    replica::tasks table::sharing table::tests::a_glance table::tests::what_a_glance

servers:
	@tests/support/install servers

help:
	@sed -n 's/^#   //p' Makefile

header:
	RETS_BLESS=1 cargo test --quiet --test header --test commands

fmt:
	@tests/support/install rustfmt
	cargo fmt

lint:
	@tests/support/install rustfmt clippy
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings

clean:
	cargo clean

define rets_pc
prefix=$(PREFIX)
libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))
includedir=$${prefix}/include
static_libs=$(static_libs)

Name: rets
Description: A Redis or Valkey replica inside a C or C++ program
Version: $(version)
Libs: -L$${libdir} -lrets
Libs.private: $${static_libs}
Cflags: -I$${includedir}
endef
export rets_pc

install: library
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include"
	install -m 755 $(release)/librets.so "$(DESTDIR)$(LIBDIR)/librets.so.$(version)"
	ln -sfn librets.so.$(version) "$(DESTDIR)$(LIBDIR)/librets.so.$(abi)"
	ln -sfn librets.so.$(abi) "$(DESTDIR)$(LIBDIR)/librets.so"
	install -m 644 $(release)/librets.a "$(DESTDIR)$(LIBDIR)/librets.a"
	install -m 644 include/rets.h "$(DESTDIR)$(PREFIX)/include/rets.h"
	printf '%s\n' "$$rets_pc" >"$(DESTDIR)$(LIBDIR)/pkgconfig/rets.pc"
