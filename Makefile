# Everything that a user or developer of agentfleet types. `make` alone lists it.
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
TRACE ?=
# Test processes at once; they wait more than they compute.
JOBS ?= 4

PACKAGES := sdk/agentfleet core/agentfleet_core operator/agentfleet_operator \
            coordinator/agentfleet_coordinator worker/agentfleet_worker cli/agentfleet_cli
GENERATED := crds docs/reference

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.dev ## Watch a whole fleet work on this machine, in about a minute
	@$(BIN)/agentfleet demo $(ARGS)

.PHONY: dev
dev: $(VENV)/.dev ## Run the example fleet on this machine until Ctrl-C
	@$(BIN)/agentfleet dev -f examples/support $(ARGS)

##@ Develop

.PHONY: test
test: $(VENV)/.test ## Run all tests, on a real Redis and a real kube-apiserver that it brings itself
	@$(BIN)/python -m tests.servers.build
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup $(ARGS)

.PHONY: check
check: lint types imports verify ## Lint, types, import directions, generated files

.PHONY: lint
lint: $(VENV)/.test ## Ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/.test ## mypy, strict
	@$(BIN)/mypy $(PACKAGES)

.PHONY: imports
imports: $(VENV)/.test ## import-linter: the directions between the folders
	@$(BIN)/lint-imports --no-cache | tail -n 20

.PHONY: generate
generate: $(VENV)/.dev ## Write what is generated: crds/ and docs/reference/
	@$(BIN)/python -m agentfleet_core.api.crdgen crds
	@$(BIN)/python -m agentfleet_core.api.reference docs/reference

.PHONY: verify
verify: generate ## Fail when a generated file is not what its source says
	@git diff --exit-code --stat -- $(GENERATED) || { echo "verify: run 'make generate' and commit the result" >&2; exit 1; }

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

##@ Bench (each ends with one line of JSON; options in ARGS="…")

.PHONY: bench-queue
bench-queue: $(VENV)/.test ## Drain 100,000 tasks beside eight task queues
	@$(BIN)/python -m bench.queue $(ARGS)

.PHONY: bench-coordinator
bench-coordinator: $(VENV)/.test ## Submits over HTTP, one by one and in batches
	@$(BIN)/python -m bench.coordinator $(ARGS)

.PHONY: bench-worker
bench-worker: $(VENV)/.test ## Agent tasks that one worker holds, and what a call costs it
	@$(BIN)/python -m bench.worker $(ARGS)

.PHONY: bench-scaling
bench-scaling: $(VENV)/.test ## 1,000 pools on a real kube-apiserver: wake, burst, idle
	@$(BIN)/python -m bench.scaling $(ARGS)

.PHONY: bench-planner
bench-planner: $(VENV)/.test ## The planner beside KEDA's and HPA's rules: TRACE=file.csv
	@$(BIN)/python -m bench.planner $(if $(TRACE),--trace $(TRACE)) $(ARGS)

.PHONY: bench-ledger
bench-ledger: $(VENV)/.test ## Reserve, sent, settle on one contended tenant from 16 processes
	@$(BIN)/python -m bench.ledger $(ARGS)

# ---- what the targets above need

$(VENV)/.pip:
	@echo "making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "pip>=25.1"
	@touch $@

$(VENV)/.dev: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing agentfleet and its libraries"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.test: $(VENV)/.dev
	@echo "installing the test tools"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --group test
	@touch $@
