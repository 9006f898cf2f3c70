# Every command of the repository. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Twice as many as there are cores: many tests wait for processes that they have started.
WORKERS ?= 4
# What takes long: jobs that are killed or wait, brokers and servers.
LONG := tests/faults tests/kafka tests/cluster tests/collected/test_job.py \
  tests/warehouse/test_contract.py tests/warehouse/test_clouds.py tests/cli/test_backfill.py \
  tests/cli/test_pulls.py \
  tests/destinations/test_contract.py tests/destinations/test_mirrors.py \
  tests/destinations/test_aws.py tests/destinations/test_kafka.py \
  tests/cli/test_deliveries.py tests/serving/test_collecting.py tests/serving/test_sdks.py \
  tests/serving/test_operating.py tests/serving/test_crowds.py tests/browsers

##@ Start here

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo

.PHONY: demo
demo: $(READY) ## Backtest a day of an example shop, then watch it live, with its page (KEEP=1: on and on)
	@bash examples/demo.sh

.PHONY: site
site: $(READY) ## The example shop as its visitors see it, with a banner that follows an audience
	@bash examples/site.sh

.PHONY: kafka-demo
kafka-demo: $(READY) ## The live job between two Kafka topics; brings the broker, too
	@bash examples/kafka-demo.sh

.PHONY: run
run: $(READY) ## The long-lived job on a project: make run PROJECT=path/to/project
	@$(BIN)/usher -C $(or $(PROJECT),$(error say which project: make run PROJECT=path/to/project)) run

.PHONY: test
test: $(READY) ## The tests (6 to 8 minutes on 2 cores)
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -q $(LONG:%=--ignore %)

.PHONY: test-faults
test-faults: $(READY) ## Jobs that are killed and harmed; real servers of Kafka, warehouses and destinations
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -q $(LONG)

##@ Developing

.PHONY: setup
setup: $(READY) ## Create .venv from the lock file (any other command does it by itself)

# The first of these that runs, is 3.11 or 3.12 and can make virtual environments.  A distribution's
# own comes first: others, as pyenv makes them, are often compiled without optimizations, and answer
# a fourth slower.
PYTHONS := $(or $(PYTHON),$(addprefix /usr/bin/,python3.11 python3.12) python3.11 python3.12 python3 python)

$(READY): requirements.lock pyproject.toml
	@python=""; for each in $(PYTHONS); do \
	  if "$$each" -c "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))" \
	    2> /dev/null; then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Usher needs Python 3.11 or 3.12 with its venv module; none of these is one: $(PYTHONS)." >&2; \
	  echo "Install it (Debian: apt-get install python3.11-venv; macOS: brew install python@3.11)," >&2; \
	  echo "or say where it is: make setup PYTHON=/path/to/python3.11" >&2; exit 3; fi; \
	echo "Setting up $(VENV) with $$("$$python" --version) of $$(command -v "$$python"); this takes half a minute, once." >&2; \
	"$$python" -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(PIP) install --require-hashes -r $(VENV)/uv.lock
	@# pip knows of mirrors and certificates that uv may not have been told of.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
	  -r requirements.lock || $(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: check
check: $(READY) ## Formatting, lint, types and direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: soak
soak: $(READY) ## The engine against the oracle: 10,000 histories a condition kind; 1,000 kills; 5,000 lanes; 200,000 bodies
	HYPOTHESIS_PROFILE=soak USHER_FAULT_STORIES=100 USHER_FAULT_DAMAGES=300 USHER_LANE_SEEDS=5000 \
	  USHER_OUTAGE_SECONDS=60 USHER_FUZZ_BODIES=200000 $(BIN)/pytest -n $(WORKERS) --dist worksteal -q \
	  tests/properties tests/faults tests/kafka/test_kills.py tests/delivery/test_simulation.py \
	  tests/destinations/test_outages.py tests/serving/test_fuzz.py

.PHONY: bench
bench: $(READY) ## All measurements, with targets; written to benchmarks/results/
	@$(BIN)/python -m benchmarks

.PHONY: bench-quick
bench-quick: $(READY) ## The same on a tenth of the events; written nowhere
	@$(BIN)/python -m benchmarks --quick

.PHONY: lock
lock: $(READY) ## Resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## Remove everything that can be made again
	rm -rf $(VENV) .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
