# `make run` and `make test` need Python 3.11 and git, nothing else.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_INSTALL := $(BIN)/uv pip install --python $(BIN)/python $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)")

# Bytecode is kept: without it every stage would compile its libraries again.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long chaos lint deps serve ui edge-emulate lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 15

setup: $(READY) ## make .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; install Python 3.11, or run: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV_INSTALL) --no-deps --requirement requirements.lock
	@# The lock is complete for a CPU build of torch; the package index may give a CUDA build, which needs libraries of its own.
	@$(BIN)/python -c "import torch" 2>/dev/null || $(UV_INSTALL) --requirement requirements.lock
	$(UV_INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@# With it a run of the embedded dataset needs no network any more.
	@test ! -f pan_core/cli/main.py || $(BIN)/pan pose weights >/dev/null || echo "the run will try to fetch the pose weights again" >&2
	@touch $@

run: $(READY) ## dvc repro with a summary at the end; DATA=penn_action chooses another dataset, DATA=folders FOLDER=path videos of yours
	pan run $(if $(DATA),--dataset $(DATA)) $(if $(FOLDER),--folder "$$FOLDER")

test: $(READY) ## the test suite but for what takes minutes a test
	pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(READY) ## the tests that take minutes each: faults, several machines, lost clusters
	pytest -m long $(ARGS)

chaos: $(READY) ## do every fault to running pipelines, write docs/results/chaos.md
	python tests/chaos $(ARGS)

lint: $(READY) ## ruff, mypy, the layers, and the stages' dependencies
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m pan_core.workspace.stage_dependencies --check

deps: $(READY) ## write what the stages import into dvc.yaml
	python -m pan_core.workspace.stage_dependencies

serve: $(READY) ## serve the Prefect deployments; SOURCE=s3://bucket/prefix brings footage from there
	python -m flows.serve $(if $(SOURCE),--source $(SOURCE))

ui: $(READY) ## serve the MLflow UI on port 5000, and show the address of each dataset's runs
	pan ui --port 5000

edge-emulate: $(READY) ## let the Pis' bundles check themselves on ARM code by QEMU (Debian, qemu-user-static)
	pan edge emulate $(if $(TARGET),--target $(TARGET))

lock: ## pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra pictures --python-version 3.11 --upgrade --no-header --no-annotate \
	  --no-emit-find-links --no-emit-index-url $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)") \
	  --output-file requirements.lock
	# A local build's label is not part of the version that others can install.
	sed -i -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' requirements.lock

clean: ## remove what stages wrote; downloads and extracted poses in .cache stay
	rm -rf data/raw data/poses data/valid data/quarantine data/*.parquet models reports dvc.lock
