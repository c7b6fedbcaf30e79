# Commands for users and developers; `make help` lists them.  Everything is installed into .venv, with the versions in
# constraints.txt.  The tests also need Debian packages, which are installed if this user may do so.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := loadgen workloads deploy coordinator tests benchmarks tools setup.py noxfile.py
# A change of these files means that the compiled parts must be built again.
COMPILED := $(filter-out %/_core.c,$(wildcard loadgen/engine/compiled/*.[ch])) loadgen/engine/compiled/_core.pyx loadgen/engine/compiled/_core.pxd $(wildcard loadgen/measure/*.pyx)
# System tests that may run at the same time as others, because they do not depend on how fast the machine is.
UNHURRIED := $(addprefix tests/system/test_,proxy.py proxy_flows.py proxy_host.py iperf3_peers.py iperf_cli.py local_vms.py package.py serve.py specweb_fileset_kill.py \
	fleet_run.py fleet_faults.py fleet_ends.py fleet_peers.py ssh_hosts.py ssh_worker.py operator_tools.py spec_edges.py spec_killed.py resume.py \
	relative.py browser.py report_browser.py site.py startup.py terminal.py vms_under_qemu.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-pythons coverage lint format picture golden schema reference vendor docs lock wheel bench bench-engine bench-fleet \
	bench-canary bench-http bench-losses bench-network bench-startup bench-trust sanitize debian clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Install loadgen into .venv and run 16 VMs, about 80 s
	$(BIN)/loadgen spec --vms 16

test: $(VENV)/.test-installed debian ## Install loadgen and its tests' tools into .venv, and run lint and all tests
	$(MAKE) --no-print-directory lint
	tools/run_tests.sh -n 2 --dist worksteal tests/unit tests/contract tests/golden tests/fuzz
	tools/run_tests.sh -n 2 --dist loadfile $(UNHURRIED)
	tools/run_tests.sh tests/system $(UNHURRIED:%=--ignore=%)

test-fast: $(VENV)/.test-installed ## Run all tests but the system tests, one or two minutes
	$(BIN)/pytest -q -n 2 --dist worksteal tests/unit tests/contract tests/golden tests/fuzz

test-pythons: $(VENV)/.test-installed ## Run the unit and contract tests on each supported Python that is installed
	$(BIN)/nox

coverage: $(VENV)/.test-installed ## Run unit, contract and golden tests and fail below the coverage in pyproject.toml
	$(BIN)/pytest -q -n 2 --cov --cov-report=term tests/unit tests/contract tests/golden

lint: $(VENV)/.test-installed ## Check formatting, style, types, import direction and unused code
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/dead_code.py

format: $(VENV)/.test-installed ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

picture: $(VENV)/.installed ## Draw the pictures in docs/images from a recorded run; RECORD=runs/... takes another one
	$(BIN)/python -m tools.pictures $(if $(RECORD),--record $(RECORD))

golden: $(VENV)/.test-installed ## Rewrite the golden files; read the diff before committing it
	$(BIN)/pytest -q tests/golden --update-golden

schema: $(VENV)/.test-installed ## Write run.schema.json, docs/json.md, docs/exports.md and docs/metrics.md again, from types, columns and metrics
	$(BIN)/python -m coordinator.record.schema
	$(BIN)/python -m coordinator.output.exports_page
	$(BIN)/python -m coordinator.output.metrics_page

reference: schema ## Write the pages in docs/reference, the help texts in tests/golden/help and what `make schema` writes again
	$(BIN)/python -m tools.reference
	$(BIN)/pytest -q tests/golden/test_golden_help.py --update-golden

docs: $(VENV)/.test-installed ## Build the documentation site into build/site; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees . build/site

vendor: ## Copy the JavaScript of the npm packages in tools/vendor into the repository again (needs npm)
	$(PYTHON) tools/vendor/vendor.py

lock: ## Write constraints.txt again after a change of pyproject.toml; UPGRADE=1 takes the newest versions
	PYTHON=$(PYTHON) tools/lock.sh $(if $(UPGRADE),--upgrade)

wheel: $(VENV)/.test-installed ## Build the source distribution and the wheel into dist/
	$(BIN)/python -m build

bench: $(VENV)/.test-installed ## Benchmark: pacing of 500 connections on one engine process
	$(BIN)/python benchmarks/pacing.py

bench-engine: $(VENV)/.test-installed ## Benchmark: CPU cost of a request for both engines, wrk, ab, httperf, h2load and hey
	@tools/install-debian.sh engine-peers
	$(BIN)/python benchmarks/engine.py

bench-network: $(VENV)/.test-installed ## Benchmark, as root: probe and proxy compared with iperf3, HAProxy, nginx and socat
	@tools/install-debian.sh peers
	$(BIN)/python benchmarks/network.py

bench-http: $(VENV)/.test-installed ## Benchmark: rates of loadgen http and wrk when nginx is the limit
	@tools/install-debian.sh peers
	$(BIN)/python benchmarks/http_peers.py

bench-canary: $(VENV)/.test-installed ## Benchmark: what the canary says beside a known truth, and its cost, one minute
	$(BIN)/python -m benchmarks.canary

bench-fleet: $(VENV)/.test-installed ## Benchmark: coordinator cost of 50 to 500 load machines, about 4 minutes
	$(BIN)/python benchmarks/fleet.py --profile

bench-losses: $(VENV)/.test-installed ## Benchmark, as root: how 150 runs end that lose a load machine or their coordinator, a quarter of an hour
	$(BIN)/python -m benchmarks.fleet_losses

bench-startup: $(VENV)/.test-installed ## Benchmark: time from Enter to the prompt, and to the first traffic of spec, two minutes
	$(BIN)/python benchmarks/startup.py

bench-trust: $(VENV)/.test-installed ## Benchmark: verdicts on known set-ups, good and bad, about 25 minutes; as root, all of them
	$(BIN)/python benchmarks/trust.py --repeats 3

sanitize: $(VENV)/.test-installed ## Run the engine's tests on a build with sanitizers (needs gcc, two minutes)
	@tools/sanitize.sh

debian: ## Install the Debian packages that the system tests need, if this user may
	@tools/install-debian.sh tests

clean: ## Remove what the other targets have made
	rm -rf $(VENV) build dist *.egg-info .coverage .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache loadgen/engine/compiled/_core.c loadgen/engine/compiled/*.so loadgen/measure/_fold.c loadgen/measure/_sums.c loadgen/measure/*.so

$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(COMPILED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@$(BIN)/python -c "from loadgen.engine.choice import describe; print('loadgen plays with', describe())"
	@touch $@

$(VENV)/.test-installed: pyproject.toml constraints.txt setup.py $(COMPILED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@$(BIN)/python -c "from loadgen.engine.choice import describe; print('loadgen plays with', describe())"
	@touch $@ $(VENV)/.installed
