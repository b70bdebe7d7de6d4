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
	$(PIP) --editable '.[deep,plots,tensorboard,test,lint]'
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

# The shipped weights, each by the command that made it. DATA and VALID are folders of photographs; the model card,
# weights/README.md, says which. An interrupted training goes on with: make espcn-m_x2 RESUME=--resume

DATA ?= ../shared/data/train
VALID ?= ../shared/data/valid
TERMS := MIT; trained on research sets and freely licensed photographs, see weights/README.md
TRAIN = $(BIN)/espcn train $(DATA) --valid $(VALID) --license "$(TERMS)" --output weights/$@.safetensors $(RESUME)
NETWORKS := $(foreach name,espcn espcn-s espcn-m espcn-l,$(foreach scale,2 3 4,$(name)_x$(scale)))

.PHONY: $(NETWORKS) autoencoder scores
weights: $(NETWORKS) autoencoder

# espcn and espcn-s: any patch and no clipping, as they were trained before these were the defaults.
ANY := --candidates 1 --clip 0
SOAP := --optimiser soap --learning-rate 5e-3 --expansion 0 $(ANY)

espcn_x2:   install ; $(TRAIN) -m espcn   -s 2 --steps 30000 --validate-every 3000 $(SOAP) --patch-size 64
espcn_x3:   install ; $(TRAIN) -m espcn   -s 3 --steps 30000 --validate-every 3000 $(SOAP)
espcn_x4:   install ; $(TRAIN) -m espcn   -s 4 --steps 30000 --validate-every 3000 $(SOAP)
espcn-s_x2: install ; $(TRAIN) -m espcn-s -s 2 --steps 30000 --validate-every 3000 $(ANY)
espcn-s_x3: install ; $(TRAIN) -m espcn-s -s 3 --steps 12000 --validate-every 3000 $(ANY) --init weights/espcn-s_x2.safetensors
espcn-s_x4: install ; $(TRAIN) -m espcn-s -s 4 --steps 12000 --validate-every 3000 $(ANY) --init weights/espcn-s_x2.safetensors --patch-size 128
espcn-m_x2: install ; $(TRAIN) -m espcn-m -s 2 --minutes 60 --validate-every 3000
espcn-m_x3: install ; $(TRAIN) -m espcn-m -s 3 --steps 12000 --validate-every 3000 --init weights/espcn-m_x2.safetensors
espcn-m_x4: install ; $(TRAIN) -m espcn-m -s 4 --steps 12000 --validate-every 3000 --init weights/espcn-m_x2.safetensors --patch-size 128
espcn-l_x2: install ; $(TRAIN) -m espcn-l -s 2 --steps 27000 --validate-every 3000
espcn-l_x3: install ; $(TRAIN) -m espcn-l -s 3 --steps 7000 --init weights/espcn-l_x2.safetensors
espcn-l_x4: install ; $(TRAIN) -m espcn-l -s 4 --steps 7000 --init weights/espcn-l_x2.safetensors --patch-size 128

MNIST ?= ../shared/data/mnist
autoencoder: install
	$(BIN)/espcn autoencoder train $(MNIST) --output weights/autoencoder.safetensors

# Score the shipped weights on the benchmark sets, and record the scores in them.
SETS ?= ../shared/data/benchmarks
scores: install
	$(BIN)/python benchmarks/scores.py $(SETS) --record
