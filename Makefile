# make demo and make test do everything from a clean clone; they need Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install demo test lint format clean weights
.DEFAULT_GOAL := help

help:
	@echo "make install   a virtual environment in $(VENV) with espcn in it"
	@echo "make demo      upscale a photograph with the shipped weights, and measure them on it"
	@echo "make test      all tests"
	@echo "make lint      ruff and mypy"
	@echo "make format    put the code into shape"
	@echo "make weights   train every shipped network again (hours): DATA=... VALID=..."
	@echo "make clean     remove what the other targets made"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) --editable '.[plots,test,lint]'
	@touch $@

install: $(VENV)/installed

demo: install
	@mkdir -p demo
	$(BIN)/espcn upscale examples/cat.png demo/cat_x2.png
	$(BIN)/espcn upscale examples/cat.png demo/cat_x4.png --scale 4
	$(BIN)/espcn benchmark examples --scale 2
	$(BIN)/espcn models

test: $(VENV)/developing
	$(BIN)/python -m pytest

lint: $(VENV)/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/developing
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
