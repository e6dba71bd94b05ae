# The same commands for a laptop, a server and CI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5001
READY := $(VENV)/.ready

# Stages call `python`: it must be the one of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true

.DEFAULT_GOAL := help
.PHONY: help env run serve pretrain learning-curve ablations test lock clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

env: $(READY) ## make the environment in .venv from requirements.lock

# uv installs in parallel and compiles; it is itself installed from the lock, by pip, with its hashes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version); expected Python 3.11 to 3.13. Say which: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r $(VENV)/uv.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

run: env ## from nothing to a scored model: all stages whose inputs have changed
	dvc repro
	@sgseg track --quiet
	@sgseg summary

serve: env ## the champion over HTTP, images in and masks out: http://127.0.0.1:$(PORT) (docs/serving.md)
	mlflow models serve -m models:/sgseg@champion --env-manager local -p $(PORT)

pretrain: env ## a network trained on simulated fields, to start from (train.init)
	dvc repro experiments/dvc.yaml:pretrain

learning-curve: env ## how good from how few images; hours (docs/experiments.md)
	dvc repro experiments/dvc.yaml:learning_curve

ablations: env ## what each part of the recipe is worth; hours (docs/experiments.md)
	dvc repro experiments/dvc.yaml:ablations

test: env ## lint, types, tests
	ruff format --check .
	ruff check .
	mypy
	pytest -n 2 --dist loadfile

lock: env ## solve requirements.lock anew from pyproject.toml
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --output-file requirements.lock

clean: ## remove what the pipeline made; data/raw, runs and the environment stay
	rm -rf data/dataset data/validated data/split models reports checkpoints experiments/folds
