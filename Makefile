# A few words; continuous integration calls the same ones. PYTHON picks the interpreter: make setup PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Quiet of what is not ours to mend: a newer pip, and being root, as in a container.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --root-user-action=ignore --no-compile
# What pip does one file after the other takes half of the time of an installation. Some packages hold files of Python 2.
COMPILE := $(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true
FIGURES := vs_funasr peers start stages memory memory_map decoding resampling steady creep pipeline batch_seconds locality install serve transcribe fuzz faults

.PHONY: help setup check format quick test test-latest test-oldest bench fuzz docs build clean

help: ## these words
	@sed -n 's/^\([a-z][a-z -]*\):.*## \(.*\)/\1: \2/p' $(MAKEFILE_LIST) | while IFS=: read -r word what; do printf '  make %-26s%s\n' "$$word" "$$what"; done

setup: $(VENV)/.done-run ## a virtual environment in .venv: the package with [all], what needs no PyTorch; versions as in constraints.txt

# What checks and tests need beside it; FunASR is the oracle of the parity tests.
$(VENV)/.done-dev: $(VENV)/.done-run
	$(INSTALL) --constraint constraints.txt torch
	$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	$(COMPILE)
	touch $@

$(VENV)/.done-run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --constraint constraints.txt --editable '.[all]'
	$(COMPILE)
	touch $@

check: $(VENV)/.done-dev ## ruff, and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff check --quiet --preview --select PLW1514 . # text is UTF-8, whatever the locale; the rule is not yet stable
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.done-dev ## mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What else it leaves out is in tests/helpers/processes.py.
quick: check ## check, and the short tests that start no process, browser or server
	$(BIN)/pytest -m 'not slow and not process and not oracle' --quick --numprocesses 2 --dist loadfile --quiet

# In two processes, a file of tests at a time: each holds half of what they all leave in memory. In the order of
# tests/conftest.py: xdist by itself takes files of few tests last, however long these take.
test: check ## check, then every test
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations=20

# The wheel where nothing else is: with the newest of everything on the newest Python here, and with the lowest promised.
test-latest test-oldest: $(VENV)/.done-dev ## the wheel alone, with the newest and the lowest versions of what it depends on
	$(BIN)/python tests/fresh_install.py $(@:test-%=%)

# One that fails does not keep the others from running.
bench: $(VENV)/.done-dev ## the published figures, into bench/results/; all are run, and what failed is said at the end
	@failed=; for figure in $(FIGURES); do \
		echo "bench/$$figure.py"; $(BIN)/python bench/$$figure.py || failed="$$failed $$figure"; \
	done; if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

FILES ?= 20000
fuzz: $(VENV)/.done-dev ## damaged files of every container through the pipeline; FILES=1000 for some of them, whose figures are not kept
	$(BIN)/python bench/fuzz.py --files $(FILES)

docs: $(VENV)/.done-dev ## the pages that are made from the code, then all of them as a site in build/site; a warning is an error
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_codes.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

build: $(VENV)/.done-dev ## wheel and sdist
	$(INSTALL) build
	$(BIN)/python -m build

clean: ## what tools leave in the checkout; the environment stays
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
