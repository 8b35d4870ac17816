# Every target needs Python, pip and make, and creates .venv if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# "make test PYTEST='-m slow'" runs the long tests.
PYTEST ?= -m "not slow"
# One worker per core, each with one thread. "WORKERS=" runs all tests in one process.
WORKERS ?= -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo test lint docs bench clean

$(VENV)/.test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -e ".[lint]"
	touch $@

$(VENV)/.docs: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -e ".[bench]"
	touch $@

demo: $(VENV)/.test
	MPLBACKEND=agg $(BIN)/python examples/plot_10_quickstart.py

test: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MPLBACKEND=agg OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) $(PYTEST)

lint: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench_augment.py
	$(BIN)/python benchmarks/bench_pretrain.py

clean:
	rm -rf $(VENV) output docs/_build docs/auto_examples docs/api/generated
	rm -rf docs/user_guide/_generated docs/user_guide/methods
	rm -rf docs/sg_execution_times.rst examples/output
