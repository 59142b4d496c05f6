# Needs git, make and Python >= 3.11; everything else is installed into .venv, once.
.DEFAULT_GOAL := help
.PHONY: help demo install run dev notebook test test-slow test-all test-lake test-duckdb-2 soak bench bench-large \
	bench-parts check lint types costs duckdb-2 figures docs lock clean

CANDIDATES := python3 python3.13 python3.12 python3.11
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

export DAGSTER_HOME ?= $(CURDIR)/dagster_home
BIN := .venv/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# One process more than there are cores: some wait for a server or a timeout.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
QUICK := -m "not slow and not packaging"
SLOW := -m "slow or packaging"
DUCKDB_2 := 2.0.1
# What speaks to DuckDB itself.
ON_DUCKDB := $(addprefix tests/,warehouse landing reporting notebooks test_steps.py test_doors.py docs/test_docs.py \
	docs/test_questions.py)
PACKAGE := --no-deps --no-build-isolation --editable .

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/runtime ## the main job, end to end, with no credentials, against the bundled sandbox API
	@$(BIN)/session-threads demo

install: .venv/runtime ## set up, and make the data directory
	@mkdir -p data && chmod 700 data
	@echo "Installed: $(BIN)/session-threads. Next: name a token and sessions (README, Poll your own sessions),"
	@echo "then $(BIN)/session-threads check, then $(BIN)/session-threads run or make dev."

run: .venv/runtime ## the main job against the configured API
	@$(BIN)/session-threads run

dev: .venv/runtime ## Dagster's UI with the job and its schedule
	@$(BIN)/python -m pipelines.defs.server --daemon

notebook: .venv/dev ## the notebook, to look at the data and change the queries
	MARIMO_SKIP_UPDATE_CHECK=1 $(BIN)/marimo edit notebooks/threads.py

test: .venv/dev ## the quick tests, in three minutes on two cores
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(QUICK)

test-slow: .venv/dev ## the others: Dagster's servers, browsers, packaging, kills, full disks
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(SLOW)

test-all: .venv/dev ## all of them, those that begin late being quick
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-lake: .venv/dev ## the tests of tables in a lake, with PostgreSQL and S3 servers of theirs; among the slow ones
	$(BIN)/python -m pytest tests/lake

soak: .venv/dev ## the long tests: hundreds of kills, full disks, storms, 5,000 sessions, 100,000 bodies, worlds of known truth
	KILLS=200 $(BIN)/python -m pytest tests/faults/test_crashes.py
	STORM_SEEDS=20 $(BIN)/python -m pytest tests/faults/test_storm.py
	FLEET=5000 $(BIN)/python -m pytest tests/faults/test_fleet.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests/properties tests/faults/test_clocks.py
	RESTING_SEEDS=20 $(BIN)/python -m pytest tests/warehouse/test_resting_worlds.py
	FLEET=1000 $(BIN)/python -m pytest tests/warehouse/test_resting_costs.py -k requests
	FLEET=10000 $(BIN)/python -m pytest tests/warehouse/test_resting_costs.py -k grow
	LAKE_POLLS=20 $(BIN)/python -m pytest tests/lake/test_outages.py
	$(BIN)/python -m benchmarks.resting
	$(BIN)/python -m benchmarks.resting.requests
	$(BIN)/python -m benchmarks.truth
	PYTHONPATH=. $(BIN)/python docs/generate.py

bench: .venv/dev .venv-product/ready .venv-peers/ready ## what it costs, against others; makes docs/performance.md
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.latency
	PYTHONPATH=. $(BIN)/python docs/generate.py

bench-large: .venv/dev .venv-product/ready .venv-peers/ready ## the same with a million threads, and a thousand polls
	$(BIN)/python -m benchmarks.compare --large
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.planned 1000000
	PYTHONPATH=. $(BIN)/python docs/generate.py

bench-parts: .venv/dev ## what loads, publications and analyses cost alone, sources beside each other, and a lake
	$(BIN)/python benchmarks/loads.py
	$(BIN)/python benchmarks/analyses.py
	$(BIN)/python -m benchmarks.sources
	$(BIN)/python -m benchmarks.lake
	PYTHONPATH=. $(BIN)/python docs/generate.py

check: lint types costs ## format, lint, types, import contracts, and what a poll may cost

lint: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

costs: .venv/dev
	$(BIN)/python -m benchmarks.guard

duckdb-2: .venv-duckdb-2/dev-$(DUCKDB_2)

test-duckdb-2: duckdb-2 ## types, the quick tests of tables, and loads, with DuckDB 2
	.venv-duckdb-2/bin/python -m mypy
	PATH="$(CURDIR)/.venv-duckdb-2/bin:$$PATH" .venv-duckdb-2/bin/python -m pytest $(SIDE_BY_SIDE) \
		-m "not packaging and not lake and (not slow or loads)" $(ON_DUCKDB)

figures: .venv/dev ## what polling cannot see, by simulation, and where assumption and world part: figures of the docs
	PYTHONPATH=. $(BIN)/python benchmarks/polling.py
	$(BIN)/python -m benchmarks.truth.figures

docs: .venv/dev ## the pages that are made from the code
	PYTHONPATH=. $(BIN)/python docs/generate.py

lock: ## resolve the locked dependencies again (needs uv)
	uv pip compile $(COMPILE) --group build --output-file requirements.lock pyproject.toml
	uv pip compile $(COMPILE) --group dev --extra notebook --extra lake --extra dagster-postgres \
		--constraints requirements.lock --output-file requirements-dev.lock pyproject.toml
	uv pip compile $(COMPILE) --constraints requirements.lock \
		--output-file benchmarks/requirements.txt benchmarks/requirements.in

COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate --no-strip-extras --constraints constraints.txt

clean: ## remove the environments and caches
	rm -rf .venv .venv-duckdb-2 .venv-product .venv-peers .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing the locked dependencies into .venv; this is done once." >&2
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) $(PACKAGE)
	@touch $@

.venv/dev: requirements-dev.lock .venv/runtime
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

.venv-product/ready: requirements.lock pyproject.toml
	@$(PYTHON) -m venv .venv-product
	@.venv-product/bin/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	@.venv-product/bin/python $(PIP_INSTALL) $(PACKAGE)
	@touch $@

.venv-peers/ready: benchmarks/requirements.txt
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python $(PIP_INSTALL) --require-hashes -r benchmarks/requirements.txt
	@touch $@

# DuckDB 2, and after it all that .venv holds.
.venv-duckdb-2/dev-$(DUCKDB_2): .venv/dev
	@$(PYTHON) -m venv --clear .venv-duckdb-2
	@.venv-duckdb-2/bin/python $(PIP_INSTALL) --no-deps duckdb==$(DUCKDB_2)
	@echo "$(CURDIR)"/.venv/lib/python*/site-packages > "$$(echo .venv-duckdb-2/lib/python*/site-packages)/others.pth"
	@.venv-duckdb-2/bin/python $(PIP_INSTALL) $(PACKAGE)
	@touch $@
