# Everything a person or CI runs. Only Python 3.11 or later, Git and make have to be there; the rest goes to .venv/ and var/.
# Options for the demo: make demo ARGS="--exit --json FILE"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status up-cluster down-cluster test test-cluster check lint format audit lock bench chaos
.PHONY: docs clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.8
ARGS ?=
NAME ?=
JOBS ?= 2
LINTED := include dags plugins config tests bench deploy .ci

# Without bytecode files each process would compile the libraries it imports, which takes longer than importing them.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP) ## Create .venv and install exactly what requirements.lock lists

demo: setup ## Run the whole loop on a year of real flights (options in ARGS)
	$(BIN)/evergreen demo $(ARGS)

up: setup ## Start the embedded stack
	$(BIN)/evergreen up $(ARGS)

down: ## Stop it
	@if [ -x $(BIN)/evergreen ]; then $(BIN)/evergreen down $(ARGS); fi

up-cluster: setup ## Start the services of docker-compose.yaml without Docker (needs redis-server)
	$(BIN)/evergreen up --shape cluster $(ARGS)

down-cluster: ## Stop them
	@if [ -x $(BIN)/evergreen ]; then $(BIN)/evergreen down --shape cluster $(ARGS); fi

status: setup ## Show what runs
	$(BIN)/evergreen status $(ARGS)

check: lint ## The fast tests: linters, unit tests, structure of the DAGs
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not slow" tests/unit tests/dags $(ARGS)

test: lint ## All tests: also on real servers, on a live stack and in a browser
	$(BIN)/pytest -n $(JOBS) --dist loadgroup tests/unit tests/dags $(ARGS)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder tests/integration $(ARGS)
	$(BIN)/pytest $(wildcard tests/e2e tests/browser) $(ARGS)

test-cluster: setup ## The end-to-end tests on those services
	$(BIN)/pytest tests/e2e --shape cluster $(ARGS)

lint: setup ## ruff, mypy --strict and the layers
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy include/evergreen dags plugins config deploy bench .ci
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

audit: setup ## Insecure code, secrets, licences and SBOM, known vulnerabilities (needs PyPI); reports in build/audit
	$(BIN)/python .ci/audit.py

format: setup ## Format the code
	$(BIN)/ruff check --fix $(LINTED)
	$(BIN)/ruff format $(LINTED)

bench: setup ## Run the benchmarks (NAME=... for one), which write bench/results/*.json
	$(BIN)/evergreen bench $(NAME) $(ARGS)

chaos: setup ## Kill a stack's processes while weeks land, then audit (ARGS="--seeds 1 --faults 60")
	$(BIN)/python -m bench.resilience.chaos $(ARGS)

lock: setup ## Resolve requirements.lock again, with hashes and without addresses
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 --universal \
		--no-emit-index-url --no-emit-find-links --no-annotate --upgrade -o requirements.lock

docs: setup ## Write the generated pages of docs/
	$(BIN)/python -m evergreen.core.definition.document docs/model-definition.md
	$(BIN)/python -m bench.lib.figures
	$(BIN)/python -m bench.lib.public_files_page

clean: down down-cluster ## Stop the stacks and remove what they and the tools made (not .venv)
	rm -rf var build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find include dags plugins config tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@found=; for python in python3.11 python3.12 python3.13 python3; do \
		if command -v $$python >/dev/null && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
		echo "Evergreen needs Python 3.11 or later; found none among python3.11, python3.12, python3.13 and python3." \
			"Install one (on Debian or Ubuntu: apt-get install python3 python3-venv) and run make again." >&2; exit 1; fi; \
	if [ ! -x $(BIN)/python ]; then $$found -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$$found could not make $(VENV): install its venv module (on Debian or Ubuntu: python3-venv)." >&2; exit 1; }; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "Installing into $(VENV) (the first time this takes a minute or two)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
