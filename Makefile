.DEFAULT_GOAL := help
.PHONY: help install demo sectors quick test lint tree gpu browser emulator wheel catalog ui clean

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.install-stamp
# One thread a process: small networks are faster and repeatable; no telemetry from any tool.
export OMP_NUM_THREADS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with everything for training, tests and releases

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dxai needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (one to two minutes)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@mkdir -p -m 700 .dvc/tmp/site
	@$(BIN)/dvc config --local core.site_cache_dir '$(CURDIR)/.dvc/tmp/site'
	@touch $@

demo: install ## Fetch the real data, reproduce two reference models, predict with them
	@$(BIN)/python -m pipelines.demo

sectors: install ## Reproduce the reference models of all sectors (half an hour on two cores)
	@$(BIN)/python -m pipelines.sectors

quick: install ## Run the tests that need no process, training, browser or network (about a minute on two cores)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow and not process and not browser and not network"

test: install ## Run all tests (some 15 minutes on two cores)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: install ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

tree: install ## Write docs/tree.md, the map of the repository
	@$(BIN)/python -m pipelines.tree

gpu: install ## Train on a GPU beside a processor: speed, memory, parity; says why where there is none
	@$(BIN)/python -m benchmarks.gpu

browser: ## Install Debian's Chromium and Korean fonts for the tests of the catalog page (needs root)
	@command -v chromium > /dev/null || (apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-noto-cjk)

emulator: ## Install Debian's QEMU for the test that other processors give the same bytes (needs root)
	@command -v qemu-x86_64 > /dev/null || (apt-get -qq update && apt-get -qq install -y --no-install-recommends qemu-user)

wheel: install ## Build the member firm's wheel in dist/ with a trust root: make wheel ROOT=keys/root.json
	@test -f "$(ROOT)" || { echo "wheel: name the trust root of your catalog: make wheel ROOT=keys/root.json" >&2; exit 2; }
	@$(BIN)/python -c 'import pathlib, sys; from dxai.catalog.trust import parse_root; parse_root(pathlib.Path(sys.argv[1]).read_bytes(), where=sys.argv[1])' "$(ROOT)"
	@cp "$(ROOT)" dxai/catalog/root.json
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@echo "dist/ holds the wheel; commit dxai/catalog/root.json, so that every wheel of yours carries it"

catalog: install ## Show what lies in models/ as a catalog, with throw-away keys, on http://127.0.0.1:8000
	@$(BIN)/python -m pipelines.catalog
	@echo "open http://127.0.0.1:8000 (Ctrl-C ends it)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory runs/catalog/site

ui: install ## Serve MLflow's pages on http://127.0.0.1:5000
	@echo "open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning (Ctrl-C ends it)"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --workers 1 --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

clean: ## Remove runs, data and caches; the models in git stay
	rm -rf data runs mlflow.db mlartifacts .dvc/cache .dvc/tmp
