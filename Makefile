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
GENERATED := crds docs/reference charts/agentfleet deploy
# What deploy/ is rendered for.
KUBE_VERSION := 1.34.0

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

.PHONY: lint-chart
lint-chart: $(VENV)/.test ## helm lint, kube-score and, if on PATH, kube-linter over the chart
	@$(BIN)/python -m tools.lint_chart charts/agentfleet $(KUBE_VERSION)

.PHONY: generate
generate: $(VENV)/.dev ## Write what is generated: crds/, docs/reference/, the chart's schema and README, deploy/
	@$(BIN)/python -m agentfleet_core.api.crdgen crds
	@$(BIN)/python -m agentfleet_core.api.reference docs/reference
	@$(BIN)/python tools/chart_docs.py charts/agentfleet crds
	@if command -v helm >/dev/null; then $(BIN)/python tools/plain_manifests.py charts/agentfleet deploy $(KUBE_VERSION); \
	  else echo "generate: deploy/ is left as it is, which needs helm"; fi

.PHONY: verify
verify: generate ## Fail when a generated file is not what its source says
	@git diff --exit-code --stat -- $(GENERATED) || { echo "verify: run 'make generate' and commit the result" >&2; exit 1; }

.PHONY: lock
lock: $(VENV)/.dev ## Pin what the images install, by hash: requirements/
	@for service in operator coordinator worker cli; do \
	  uv pip compile pyproject.toml --extra $$service --generate-hashes -c constraints.txt --python-version 3.11 \
	    --universal --no-header --no-annotate -q -o requirements/$$service.txt; done

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

##@ On a cluster

.PHONY: e2e
e2e: $(VENV)/.test ## Tell every story on the cluster that KUBECONFIG names, or on kind: ARGS="-k burst"
	@if [ -z "$${KUBECONFIG:-}" ]; then \
	  if command -v kind >/dev/null && kind get clusters 2>/dev/null | grep -qx agentfleet; then \
	    kind get kubeconfig --name agentfleet > $(VENV)/kind.kubeconfig; export KUBECONFIG=$(VENV)/kind.kubeconfig; \
	  else echo "e2e needs a cluster: 'make kind-up' where docker or podman answers, or KUBECONFIG and IMAGE_LOAD," \
	    "a command that builds and loads an image (docs/kubernetes.md)" >&2; exit 1; fi; fi; \
	for program in kubectl helm; do command -v $$program >/dev/null || { echo "e2e needs $$program" >&2; exit 1; }; done; \
	$(BIN)/pytest -m e2e --durations=0 $(ARGS) tests/e2e

.PHONY: kind-up
kind-up: ## Make a kind cluster named agentfleet, and build and load the images
	@kind get clusters 2>/dev/null | grep -qx agentfleet || kind create cluster --name agentfleet --wait 120s
	@for service in operator coordinator worker cli; do \
	  docker build --quiet --tag agentfleet-$$service:0.1.0 --target $$service . && \
	  kind load docker-image --name agentfleet agentfleet-$$service:0.1.0; done
	@echo "next: helm install af charts/agentfleet --namespace fleet --create-namespace"

.PHONY: minikube-up
minikube-up: ## Start minikube, and build the images in it
	@minikube status >/dev/null 2>&1 || minikube start
	@for service in operator coordinator worker cli; do \
	  minikube image build --tag agentfleet-$$service:0.1.0 --build-opt=target=$$service .; done
	@echo "next: helm install af charts/agentfleet --namespace fleet --create-namespace"

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

.PHONY: bench-wake
bench-wake: $(VENV)/.test ## From a first task to its start in a new pod, 20 times; needs what e2e needs
	@$(BIN)/python -m bench.wake $(ARGS)

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
