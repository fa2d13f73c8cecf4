# A few words; continuous integration calls the same ones. PYTHON picks the interpreter: make setup PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: setup check test test-latest test-oldest bench docs build

# The package with its extras, versions as in constraints.txt.
setup: $(VENV)/.done-run

# What checks and tests need beside it; FunASR is the oracle of the parity tests.
$(VENV)/.done-dev: $(VENV)/.done-run
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/.done-run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[all]'
	touch $@

check: $(VENV)/.done-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In two processes, a file of tests at a time: each holds half of what they all leave in memory.
test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# The wheel where nothing else is: with the newest of everything on the newest Python here, and with the lowest promised.
test-latest test-oldest: $(VENV)/.done-dev
	$(BIN)/python tests/fresh_install.py $(@:test-%=%)

bench: $(VENV)/.done-dev
	for figure in vs_funasr stages memory steady creep pipeline batch_seconds locality install serve transcribe; do $(BIN)/python bench/$$figure.py || exit 1; done

docs: $(VENV)/.done-dev
	$(BIN)/python docs/make_cli.py

build: $(VENV)/.done-dev
	$(PIP) install build
	$(BIN)/python -m build
