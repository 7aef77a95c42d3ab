# Every recipe works on a fresh machine: it makes the environment first.
PYTHON ?= python3
BIN := .venv/bin
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help env up demo test test-fast check format bench bench-peers e2e schema openapi clean

help: ## say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

env: .venv/.ready ## make .venv with everything for development

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt uv==0.13.8 torch==2.13.0
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	# Once, for all processes: where nobody may write bytecode each of them would compile a thousand modules, 2 s.
	-$(BIN)/python -m compileall -q -j 0 $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") >/dev/null
	$(BIN)/python -m compileall -q service workers models training
	touch $@

up: env ## database, queue, worker and API on this machine, in one folder; Ctrl-C ends it
	$(BIN)/histoserve up

demo: env ## a service, a phantom with known truth and a real IHC image, analysed; pictures in out/demo
	$(BIN)/python examples/demo.py out/demo

test: env ## every test; real-data tests skip where the data is absent
	$(BIN)/pytest -q

test-fast: env ## unit and contract tests, under a minute
	$(BIN)/pytest -q tests/unit tests/contract

e2e: env ## the real processes
	$(BIN)/pytest -q tests/integration tests/e2e

check: env ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: env ## mend what a machine can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: env ## measure, in one run on this machine; writes benchmarks/report.json
	$(BIN)/python -m compileall -q service workers models training
	$(BIN)/python -m benchmarks

bench-peers: env ## install the peers in runs/peers and measure them beside us; adds to benchmarks/report.json
	$(BIN)/python -m compileall -q service workers models training
	$(BIN)/python -m benchmarks.peers install
	$(BIN)/python -m benchmarks.peers run
	$(BIN)/python -m benchmarks.peers table

openapi: env ## write openapi/openapi.json
	$(BIN)/python -m service.openapi

schema: env ## write the JSON Schemas of manifest and result
	$(BIN)/python -m models.schema
	$(BIN)/python -m workers.schema

clean: ## remove what the recipes made
	rm -rf .venv build dist *.egg-info
