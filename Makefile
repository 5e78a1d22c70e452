PYTHON ?= python3
ARGS ?=
# Tests side by side, one more than there are processors; why one was passed over is said at the end.
PYTEST := -m pytest -n auto --dist worksteal -rs

# What may differ from one Python to the next.
CONTRACT := tests/test_hooks.py tests/test_recordings.py tests/test_state.py tests/test_checkpoints.py \
  tests/test_json_store.py tests/test_sqlite_store.py tests/test_redis_store.py

# One environment per Python version, so that several can be tested side by side.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv/$(VERSION)
TEST := $(VENV)/test
LINT := $(VENV)/lint
FUZZ := $(VENV)/fuzz
SECONDS ?= 3600
BENCH := $(VENV)/bench
REPORT := $(VENV)/report
PICTURES := $(VENV)/pictures

.DEFAULT_GOAL := help
.PHONY: help test test-contract environment faults mutations e2e e2e-print e2e-interactive e2e-no-ops e2e-waiting fuzz bench bench-quick bench-stores profile report report-page report-pictures live-pictures lint types demo check clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-17s%s\n", $$1, $$2}'

test: $(TEST)/installed ## run every test (PYTHON=python3.9 picks the interpreter, ARGS='-k name' the tests)
	$(TEST)/bin/python $(PYTEST) $(ARGS)

test-contract: $(TEST)/installed ## run the tests of the hooks, the API and the stores
	$(TEST)/bin/python $(PYTEST) $(CONTRACT) $(ARGS)

environment: $(TEST)/installed ## make the environment of the tests, which each target does that needs it

faults: $(TEST)/installed ## try every fault and print what was lost (Linux; needs strace and git)
	rm -f .pytest_cache/faults.json
	$(TEST)/bin/python $(PYTEST) -m faults tests/faults $(ARGS)
	$(TEST)/bin/python -m tests.faults.report

mutations: $(TEST)/installed ## break each protection and name the test that notices (Linux; minutes)
	$(TEST)/bin/python -m tests.faults.mutations $(ARGS)

e2e: e2e-print e2e-interactive ## prove all of it in the real client (Linux; CLAUDE_VERSION=2.1.330 picks another)

e2e-print: $(TEST)/installed ## the client in print mode, offline, with a scripted model (minutes; needs npm once)
	$(TEST)/bin/python -m tests.e2e.package
	$(TEST)/bin/python $(PYTEST) -m e2e tests/e2e $(ARGS)

e2e-interactive: $(TEST)/installed ## the client in a terminal, the same (needs tmux)
	$(TEST)/bin/python -m tests.e2e.package
	$(TEST)/bin/python $(PYTEST) -m interactive tests/e2e $(ARGS)

e2e-no-ops: $(TEST)/installed ## turn each hook into a no-op and name the scenarios that notice (twenty minutes)
	$(TEST)/bin/python -m tests.e2e.no_ops $(ARGS)

e2e-waiting: $(TEST)/installed ## time a session of 200 calls in the client, with and without the hooks
	$(TEST)/bin/python -m tests.e2e.waiting $(ARGS)

fuzz: $(FUZZ)/installed ## search for inputs that break a promise (SECONDS=3600 in all; ARGS='event' some targets)
	@mkdir -p .fuzz
	$(FUZZ)/bin/python -m tests.fuzz.run .fuzz $(SECONDS) $(ARGS)

bench: $(BENCH)/installed ## measure what the hooks cost and write docs/generated (ten minutes)
	$(BENCH)/bin/python -m benchmarks

bench-quick: $(BENCH)/installed ## measure less of it, and write nothing (two minutes)
	$(BENCH)/bin/python -m benchmarks --quick

profile: $(BENCH)/installed ## show where the time of a stop and of a start goes (FILES=100000)
	$(BENCH)/bin/python -m benchmarks.profile $(FILES)

report: $(REPORT)/installed report/node_modules/installed ## try the report's page in Chromium, and that it is what its sources build
	$(REPORT)/bin/python $(PYTEST) -m browser tests/report $(ARGS)

report-page: report/node_modules/installed ## build lib/report/page.html from report/ (needs Node.js)
	cd report && node build.mjs

report-pictures: $(REPORT)/installed report-page ## take the pictures of docs/report.md (needs Chromium)
	$(REPORT)/bin/python -m tests.report.pictures

bench-stores: $(TEST)/installed ## measure the stores side by side, and 200 machines on one Redis (minutes)
	$(TEST)/bin/python -m benchmarks.stores

live-pictures: $(PICTURES)/installed ## take the pictures of docs/live.md (needs npm once, tmux, faketime)
	$(PICTURES)/bin/python -m tests.pictures

lint: $(LINT)/installed ## check style, formatting and which package imports which
	$(LINT)/bin/ruff check
	$(LINT)/bin/ruff format --check
	$(LINT)/bin/lint-imports --no-cache

types: $(LINT)/installed ## check types
	$(LINT)/bin/mypy

demo: ## run the demo (needs nothing installed)
	$(PYTHON) demo/run.py

check: lint types test demo ## run all of the above

clean: ## remove everything these targets create
	rm -rf report/node_modules
	rm -rf .venv .fuzz .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

report/node_modules/installed: report/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 18 or newer (Debian: nodejs npm)" >&2; exit 1; }
	cd report && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

# --clear and --no-deps keep an environment equal to its pins, whatever was there before;
# pip check then catches a dependency that was never pinned.
$(VENV)/%/installed: requirements/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || \
	  { echo "$(PYTHON): not a Python 3.9 or later; choose one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot create environments; on Debian or Ubuntu: apt-get install python$(VERSION)-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	$(@D)/bin/python -m pip check --disable-pip-version-check
	@touch $@
