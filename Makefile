# One command each. `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS ?=

.PHONY: demo test lint format bench chaos fuzz clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("medqueue needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/medqueue demo

# Two at a time: most tests wait for processes and deadlines, not for the processor.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	$(BIN)/medqueue bench

# make chaos CHAOS='--minutes 3 --database postgresql --seed 7'; about 15 minutes without options.
chaos: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m chaos.campaign $(CHAOS)

# make fuzz FUZZ='--pdus 10000 --files 1000 --seed 7'; about 10 minutes without options.
fuzz: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign $(FUZZ)

clean:
	rm -rf $(VENV) build dist *.egg-info
