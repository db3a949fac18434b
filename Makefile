# The two commands of a newcomer: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/sh
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test lint bench fuzz soak icd10-notes screenshots wheel clean

demo: $(VENV)/.demo
	$(BIN)/fhir-coder demo

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

# Figures, never part of the tests: convert beside hl7apy's parse of the same files.
bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench.convert
	$(BIN)/python -m tests.bench.facts
	$(BIN)/python -m tests.bench.fhir_facts
	$(BIN)/python -m tests.bench.durable_acks
	$(BIN)/python -m tests.bench.delivery
	$(BIN)/python -m tests.bench.end_to_end
	$(BIN)/python -m tests.bench.waiting
	$(BIN)/python -m tests.bench.charts
	$(BIN)/python -m tests.bench.edits
	$(BIN)/python -m tests.bench.ncci
	$(BIN)/python -m tests.bench.console

# Many more examples for the property tests.
fuzz: $(VENV)/.dev
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/fuzz tests/unit -m hypothesis -o timeout=3600 -n 2 -q

# Kills the adapter again and again in the middle of its work; plays many invented visits in any order.
soak: $(VENV)/.dev
	FHIR_CODER_KILLS=50 FHIR_CODER_STREAM_MB=1000 $(BIN)/python -m pytest tests/acceptance -q
	FHIR_CODER_SEEDS=$${FHIR_CODER_SEEDS:-60} $(BIN)/python -m pytest tests/chaos -n 2 -q
	FHIR_CODER_DELIVERIES=500 $(BIN)/python -m pytest tests/chaos/test_delivery_under_faults.py -n 2 -q -s

# The shipped notes of ICD-10-CM, made anew of the tabular list that is installed.
icd10-notes: $(VENV)/.dev
	$(BIN)/python -m fhir_coder.terminology.codesets.note_rows mappings/codesets/icd10cm-notes.csv

# Pictures of the console's pages for the docs, made from the shipped scenarios (needs Chromium).
screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.browser.screenshots

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.made:
	PYTHON="$(PYTHON)" sh .ci/make-venv "$(VENV)"
	touch $@
