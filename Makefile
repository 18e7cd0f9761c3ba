# Each target does all of its own set-up: python3, a C compiler and a package index are enough.
#
#   make demo     the whole library on real input, in one table
#   make test     build, then every test
#   make lint     ruff, mypy --strict, stubtest and pyright on the installed wheel
#   make format   ruff and clang-format, in place
#   make asan     the core's tests under AddressSanitizer and UBSan
#   make small    the core's tests with every invariant checked, on tiny nodes
#   make bench    a short benchmark run          make bench-html   browse the history
#   make docs     the documentation, warnings are errors
#   make fuzz     SECONDS=60 of libFuzzer on the pack reader, twice (needs clang)
#   make crash    KILLS=10000 kill -9 at random moments
#   make powerloss STATES=20000 disks after a power cut
#   make rot      FLIPS=1000000 flipped bits
#   make syscalls every call of a store to the system fails once
#   make writers  WRITERS=16 COMMITS=1000 processes on one head, and others that collect and read
#   make faults   FAULTS=50 deaths of owners, heads and workers of shared packs, and of a node
#   make clean    remove what was built          make distclean    and the environments
#
# PYTHON picks the interpreter, VENV the environment, ARGS goes to pytest or to the demo.

PYTHON ?= python3
VENV ?= .venv
CC ?= cc
CLANG ?= clang
SECONDS ?= 60
KILLS ?= 10000
STATES ?= 20000
FLIPS ?= 1000000
WRITERS ?= 16
COMMITS ?= 1000
FAULTS ?= 50
BENCH ?= \b1000\W
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
LINT := $(VENV)-lint
PIP_QUIET := --quiet --disable-pip-version-check
export RAY_USAGE_STATS_ENABLED := 0
export RAY_AUTH_MODE := disabled
export CC

C_FILES := $(wildcard pstructs/csrc/*.c pstructs/csrc/*.h)
PY_FILES := $(wildcard pstructs/*.py pstructs/*.pyi pstructs/_cli/*.py pstructs/interop/*.py cache/*.py distributed/*.py) pstructs/py.typed
HOUSE := setup.py setup.cfg pyproject.toml

.PHONY: help demo test lint lint-code lint-format lint-types lint-stubs lint-typing format asan small bench bench-html docs fuzz crash faults powerloss rot syscalls writers build clean distclean

help:
	@sed -n '2,/^$$/s/^#\( \{0,1\}\)//p' Makefile

# ---- environments: one stamp an extra, made again when the metadata change
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_QUIET) --upgrade pip 'setuptools>=77'

# An editable install compiles the extension in place and adds the console script.
# (setuptools warns that folders may shadow it; from this folder they are the same files.)
$(VENV)/.has-%: $(HOUSE) | $(BIN)/python
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install $(PIP_QUIET) --no-build-isolation -e '.[all,$*]'
	@touch $@ $(VENV)/.has-all

build: $(VENV)/.has-all
	$(BIN)/python setup.py --quiet build_ext --inplace

# ---- what people run
demo: build
	$(BIN)/pstructs demo $(ARGS)

test: $(VENV)/.has-test build
	$(BIN)/python -m pytest $(ARGS)

docs: $(VENV)/.has-docs build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# ---- lint: the wheel goes into its own environment, since mypy reads an installed
# package completely and a source folder only in part
build/wheel/.built: $(C_FILES) $(PY_FILES) $(HOUSE) README.md | $(BIN)/python
	rm -rf build/wheel build/lib* build/bdist.* && mkdir -p build/wheel
	$(BIN)/python -m pip wheel $(PIP_QUIET) --no-deps --no-build-isolation -w build/wheel .
	@touch $@

$(LINT)/.has-wheel: build/wheel/.built
	test -x $(LINT)/bin/python || $(PYTHON) -m venv $(LINT)
	wheel=$$(echo build/wheel/*.whl); \
	$(LINT)/bin/python -m pip install $(PIP_QUIET) "$$wheel[all,lint]"; \
	$(LINT)/bin/python -m pip install $(PIP_QUIET) --no-deps --force-reinstall "$$wheel"
	@touch $@

# `make -k lint` goes on after the first complaint.
lint: lint-code lint-format lint-types lint-stubs lint-typing

lint-code: $(LINT)/.has-wheel
	$(LINT)/bin/ruff check .

lint-format: $(LINT)/.has-wheel
	$(LINT)/bin/ruff format --check .

lint-types: $(LINT)/.has-wheel
	@mkdir -p build/elsewhere
	cd build/elsewhere && $(abspath $(LINT))/bin/mypy --strict --config-file ../../setup.cfg -p pstructs

lint-stubs: $(LINT)/.has-wheel
	@mkdir -p build/elsewhere
	cd build/elsewhere && $(abspath $(LINT))/bin/stubtest pstructs._core --mypy-config-file ../../setup.cfg

# What users' checkers make of the types. basedpyright is pyright with its engine and a node
# inside the wheels; the package called pyright fetches both when it runs.
lint-typing: $(LINT)/.has-wheel
	cd tests/typing && $(abspath $(LINT))/bin/mypy --strict --config-file ../../setup.cfg .
	cd tests/typing && $(abspath $(LINT))/bin/basedpyright \
		--pythonpath $(abspath $(LINT))/bin/python -p .

format: $(LINT)/.has-wheel
	$(LINT)/bin/ruff check --fix --quiet . || true
	$(LINT)/bin/ruff format .
	$(LINT)/bin/clang-format -i pstructs/csrc/*.[ch] tests/fuzz/*.c tests/support/*.c

# ---- test builds: the whole package in a folder of its own, so that the normal build
# is left alone. PYTHONSAFEPATH keeps the source folder from shadowing it.
ELSEWHERE = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/$(1)
RUNTIMES = $(foreach lib,libasan.so libubsan.so libstdc++.so.6,$(wildcard $(shell $(CC) -print-file-name=$(lib))))
empty :=
space := $(empty) $(empty)
ASAN_ENV = LD_PRELOAD=$(subst $(space),:,$(strip $(RUNTIMES))) PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_abort=1 \
	UBSAN_OPTIONS=print_stacktrace=1 PSTRUCTS_ASAN=1 HYPOTHESIS_PROFILE=quick

build/asan/.built: $(C_FILES) $(PY_FILES) $(HOUSE) | $(BIN)/python
	rm -rf build/asan
	PSTRUCTS_SANITIZE=address,undefined \
	$(BIN)/python setup.py --quiet build --build-base build/asan-tmp --build-lib build/asan
	@touch $@

build/small/.built: $(C_FILES) $(PY_FILES) $(HOUSE) | $(BIN)/python
	rm -rf build/small
	PSTRUCTS_SMALL=1 PSTRUCTS_DEBUG=1 \
	$(BIN)/python setup.py --quiet build --build-base build/small-tmp --build-lib build/small
	@touch $@

asan: $(VENV)/.has-test build/asan/.built
	@test -n "$(strip $(RUNTIMES))" || { echo "$(CC) has no sanitizer runtime: install gcc's libasan" >&2; exit 1; }
	$(call ELSEWHERE,asan) $(ASAN_ENV) $(BIN)/python -m pytest -o pythonpath=tests \
		-p no:cacheprovider tests/pstructs $(ARGS)

small: $(VENV)/.has-test build/small/.built
	$(call ELSEWHERE,small) $(BIN)/python -m pytest -o pythonpath=tests \
		-p no:cacheprovider tests/pstructs $(ARGS)

# ---- searching for faults
# libFuzzer sees what the C core does when clang compiled it. Once as it is, and once with
# 4-way nodes, where packs of 100 bytes hold deep trees, the second hash and collisions.
FUZZ_FLAGS = -std=c11 -O1 -g -fno-strict-aliasing -fno-omit-frame-pointer -rdynamic \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_CPU := $(if $(filter x86_64 amd64,$(shell uname -m)),-msse4.2 -mpopcnt)
FUZZ_NEEDS := clang with libFuzzer and the sanitizers; on Debian: apt-get install clang libclang-rt-14-dev
FUZZ_OPTIONS = -max_total_time=$(SECONDS) -max_len=8192 -timeout=20 -rss_limit_mb=4096 \
	-malloc_limit_mb=1000000000 -detect_leaks=0 -print_final_stats=1

build/fuzz/pack build/fuzz/pack-small: tests/fuzz/fuzz_pack.c $(C_FILES) | $(BIN)/python
	@mkdir -p build/fuzz
	@echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return 0; }' | \
		$(CLANG) -fsanitize=fuzzer,address,undefined -x c - -o build/fuzz/probe || \
		{ echo 'make fuzz needs $(FUZZ_NEEDS) (CLANG=... names the compiler)' >&2; exit 1; }
	$(CLANG) $(FUZZ_FLAGS) $(if $(findstring small,$@),-DPS_SMALL) $(FUZZ_CPU) \
		-DFUZZ_PYTHON='"$(abspath $(BIN))/python"' -DFUZZ_ROOT='"$(CURDIR)"' \
		-Ipstructs/csrc tests/fuzz/fuzz_pack.c pstructs/csrc/*.c -o $@ \
		$$($(BIN)/python -c 'import sysconfig; print("-I{INCLUDEPY} -L{LIBDIR} -Wl,-rpath,{LIBDIR} -lpython{LDVERSION} {LIBS} {SYSLIBS}".format(**sysconfig.get_config_vars()))')

# Instrumented frames are large, and memory of a run is freed late; the rest is for what
# packs claim: allocations that are too large fail as they would in a program.
fuzz: $(VENV)/.has-test build/fuzz/pack build/fuzz/pack-small
	@ulimit -s 65536; cd build/fuzz; \
	export ASAN_OPTIONS=allocator_may_return_null=1:handle_abort=1:malloc_context_size=6:quarantine_size_mb=64; \
	export UBSAN_OPTIONS=print_stacktrace=1; \
	for build in pack pack-small; do \
		echo "== $$build, $(SECONDS) s"; mkdir -p corpus-$$build; \
		./$$build $(FUZZ_OPTIONS) -artifact_prefix=$$build- corpus-$$build $(ARGS) > $$build.log 2>&1 || \
			{ tail -n 60 $$build.log; echo "build/fuzz/$$build-*: what failed; give it to build/fuzz/$$build" >&2; exit 1; }; \
		grep -aE 'INITED|DONE|Done|exec_per_sec' $$build.log; \
	done

# A test that takes ten minutes counts as hung elsewhere; here it may take hours.
UNHURRIED := -o faulthandler_timeout=0

crash: $(VENV)/.has-test build
	PSTRUCTS_KILLS=$(KILLS) $(BIN)/python -m pytest $(UNHURRIED) -s tests/cache/test_store_crash*.py $(ARGS)

powerloss: $(VENV)/.has-test build
	PSTRUCTS_STATES=$(STATES) $(BIN)/python -m pytest $(UNHURRIED) -s tests/cache/test_store_power.py $(ARGS)

rot: $(VENV)/.has-test build
	PSTRUCTS_FLIPS=$(FLIPS) $(BIN)/python -m pytest $(UNHURRIED) -s tests/cache/test_store_rot.py $(ARGS)

syscalls: $(VENV)/.has-test build
	PSTRUCTS_STRIDE=1 $(BIN)/python -m pytest $(UNHURRIED) -s tests/cache/test_store_calls.py $(ARGS)

writers: $(VENV)/.has-test build
	PSTRUCTS_WRITERS=$(WRITERS) PSTRUCTS_COMMITS=$(COMMITS) \
		$(BIN)/python -m pytest $(UNHURRIED) -s tests/cache/test_store_writers.py $(ARGS)

faults: $(VENV)/.has-test build
	PSTRUCTS_FAULTS=$(FAULTS) PSTRUCTS_NODES=1 PSTRUCTS_SHARED_VERSIONS=10000 \
		$(BIN)/python -m pytest $(UNHURRIED) tests/distributed -k 'faults or nodes or many_versions or killed' $(ARGS)

# ---- benchmarks
bench: $(VENV)/.has-bench build
	cd asv_bench && ../$(BIN)/python -m asv machine --yes
	cd asv_bench && ../$(BIN)/python -m asv run --python=same --bench '$(BENCH)' \
		-a rounds=1 -a repeat=5 -a warmup_time=0.02 -a sample_time=0.004 $(ARGS)

bench-html: $(VENV)/.has-bench
	cd asv_bench && ../$(BIN)/python -m asv publish
	cd asv_bench && $(abspath $(BIN))/python offline_assets.py html
	@echo "serve it: $(BIN)/python -m http.server -d asv_bench/html"

clean:
	rm -rf build dist *.egg-info docs/_build pstructs/*.so demo-store demo-store-[0-9]*
	rm -rf .pytest_cache .mypy_cache .ruff_cache asv_bench/html
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(LINT) asv_bench/env .hypothesis
