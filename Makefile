# The front door.  Everything a machine needs is installed by these targets into .venv (and, for the
# tests, Debian packages when this user may install them).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := loadgen workloads deploy coordinator tests benchmarks
# What is compiled: a change there means to install again.
COMPILED := $(filter-out %/_core.c,$(wildcard loadgen/engine/compiled/*.[ch])) loadgen/engine/compiled/_core.pyx $(wildcard loadgen/measure/*.pyx)
# System tests that may run beside each other: nothing in them is judged by the time that it takes.
UNHURRIED := $(addprefix tests/system/test_,proxy.py proxy_flows.py proxy_host.py iperf3_peers.py iperf_cli.py local_vms.py package.py serve.py specweb_fileset_kill.py \
	fleet_run.py fleet_faults.py fleet_ends.py fleet_peers.py ssh_hosts.py ssh_worker.py operator_tools.py spec_edges.py spec_killed.py \
	terminal.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format golden bench bench-engine bench-fleet bench-http bench-network bench-trust sanitize debian clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Create .venv, install, and run the main job: 16 VMs, about 80 s
	$(BIN)/loadgen spec --vms 16

test: $(VENV)/.test-installed debian ## Create .venv with the test extras, install what tests need, run everything
	$(MAKE) --no-print-directory lint
	$(BIN)/pytest -q -n 2 --dist worksteal tests/unit tests/contract tests/golden tests/fuzz
	$(BIN)/pytest -q -n 2 --dist loadfile $(UNHURRIED)
	$(BIN)/pytest -q tests/system $(UNHURRIED:%=--ignore=%)

test-fast: $(VENV)/.test-installed ## Unit, contract, golden and fuzz tests only (a minute or two)
	$(BIN)/pytest -q -n 2 --dist worksteal tests/unit tests/contract tests/golden tests/fuzz

lint: $(VENV)/.test-installed ## Formatting, lint, types, import direction
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.test-installed ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

golden: $(VENV)/.test-installed ## Rewrite the golden files; look at the diff before committing it
	$(BIN)/pytest -q tests/golden --update-golden

bench: $(VENV)/.test-installed ## Benchmark: pacing of 500 connections on one engine process
	$(BIN)/python benchmarks/pacing.py

bench-engine: $(VENV)/.test-installed ## Benchmark: what a request costs both engines, beside wrk, ab, httperf, h2load and hey
	@tools/install-debian.sh engine-peers
	$(BIN)/python benchmarks/engine.py

bench-network: $(VENV)/.test-installed ## Benchmark, as root: probe and proxy beside iperf3, HAProxy, nginx and socat
	@tools/install-debian.sh peers
	$(BIN)/python benchmarks/network.py

bench-http: $(VENV)/.test-installed ## Benchmark: does loadgen http see the rate that wrk sees, when nginx is the limit
	@tools/install-debian.sh peers
	$(BIN)/python benchmarks/http_peers.py

bench-fleet: $(VENV)/.test-installed ## Benchmark: what 50 to 500 load machines cost their coordinator, about 4 minutes
	$(BIN)/python benchmarks/fleet.py --profile

bench-trust: $(VENV)/.test-installed ## Benchmark: false alarms and misses of the self-check, about 12 minutes
	$(BIN)/python benchmarks/trust.py

sanitize: $(VENV)/.test-installed ## The engine's own tests on a compiled engine built with sanitizers (gcc, two minutes)
	@tools/sanitize.sh

debian: ## Install what the system tests need with apt-get, where this user may
	@tools/install-debian.sh tests

clean: ## Remove what the other targets made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache loadgen/engine/compiled/_core.c loadgen/engine/compiled/*.so loadgen/measure/_fold.c loadgen/measure/_sums.c loadgen/measure/*.so

$(VENV)/.installed: pyproject.toml setup.py $(COMPILED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	@$(BIN)/python -c "from loadgen.engine.choice import describe; print('loadgen plays with', describe())"
	@touch $@

$(VENV)/.test-installed: pyproject.toml setup.py $(COMPILED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	@$(BIN)/python -c "from loadgen.engine.choice import describe; print('loadgen plays with', describe())"
	@touch $@ $(VENV)/.installed
