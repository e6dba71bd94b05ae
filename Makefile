# The same commands for a laptop, a server and CI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5001
READY := $(VENV)/.ready
LONG := tests/rehearsal
# What the gate compares, of what DVC keeps.
GATE_READS := data/dataset data/split models/evaluated reports/evaluation reports/promotion

# Stages call `python`: it must be the one of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true

.DEFAULT_GOAL := help
.PHONY: help env run serve pretrain learning-curve ablations lock clean
.PHONY: bandit audit bench chaos fuzz
.PHONY: lint types unit test rehearsal test-docs preview comment retrain pull-request promote credentials

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

lint: env bandit ## style and common mistakes
	ruff format --check .
	ruff check .

types: env ## types, by mypy
	mypy

unit: env ## tests, without those that take long
	pytest -n 2 --dist loadfile $(LONG:%=--ignore=%)

test: lint types unit ## lint, types, tests

chaos: env ## N=500 faults, such as kill -9 and failing writes, while commands run; long (docs/faults.md)
	python tests/chaos/long.py --faults $(or $(N),500) $(if $(PUBLISH),--publish)

fuzz: env ## N=100000 damaged and hostile inputs; long (docs/faults.md)
	python tests/fuzz/long.py --inputs $(or $(N),100000)

bandit: env ## what looks like a hole in the code
	bandit -q -c pyproject.toml -r src pipelines experiments

audit: env ## known holes in the packages of the lock; asks an index for them
	uvx pip-audit --require-hashes --disable-pip --requirement requirements.lock

bench: env ## every benchmark, into docs/performance.md; half an hour, on a machine that does nothing else
	python benchmarks/suite.py $(if $(PYTORCH),--pytorch-python $(PYTORCH))

rehearsal: env ## a whole retraining with nothing hosted, and all that may go wrong; long
	pytest tests/rehearsal

test-docs: env ## every command of README and docs; long
	pytest tests/docs --run-commands -rs

preview: env ## what a change does: the pipeline, tiny, here and where it left BASE=origin/main (docs/ci.md)
	@python -m sgseg.preview --base "$${BASE:-origin/main}"

comment: ## put the preview on the pull request PR=12, in place of the last comment; wants gh
	@gh pr comment "$${PR:?say which, as in make comment PR=12}" --edit-last --create-if-none --body-file reports/preview/summary.md

# Values come by the environment and are words for the command, never text for the shell: whoever starts a
# workflow may fill them in.
retrain: env ## train, compare and propose if anything has changed; SET="train.epochs=80 ..." FORCE=1 (docs/retrain.md)
	@set -f; set --; for value in $$SET; do set -- "$$@" "--set=$$value"; done; \
	if [ -n "$$FORCE" ]; then set -- "$$@" --force; fi; \
	sgseg retrain "$$@"; code=$$?; \
	case $$code in 0 | 10 | 11) ;; *) exit $$code ;; esac

pull-request: env ## open the pull request of the last retrain, or renew its text; wants gh
	@.ci/pull-request

promote: env ## put the model of dvc.lock to use, if the gate passes it: after a retrain is merged
	@if [ -n "$$(dvc remote list)" ]; then dvc pull $(GATE_READS); else dvc checkout $(GATE_READS); fi
	sgseg promote --strict

credentials: ## for CI: write DVC_CONFIG_LOCAL and DVC_KEY_FILE of the environment where DVC reads them
	@umask 077; mkdir -p .dvc/tmp; \
	if [ -n "$$DVC_CONFIG_LOCAL" ]; then printf '%s\n' "$$DVC_CONFIG_LOCAL" > .dvc/config.local; fi; \
	if [ -n "$$DVC_KEY_FILE" ]; then printf '%s\n' "$$DVC_KEY_FILE" > .dvc/tmp/key; fi

lock: env ## solve requirements.lock anew from pyproject.toml
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --output-file requirements.lock

clean: ## remove what the pipeline made; data/raw, runs and the environment stay
	rm -rf data/dataset data/validated data/split models reports checkpoints experiments/folds build
