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
# weights/README.md, says which. An interrupted training goes on with: make espcn-l_x2 RESUME=--resume (or make
# runs/espcn-l_x2.safetensors RESUME=--resume, where it was not the last of several). runs/ knows nothing of DATA: remove it to
# train on other pictures.

DATA ?= ../shared/data/train
VALID ?= ../shared/data/valid
TERMS := MIT; trained on research sets and freely licensed photographs, see weights/README.md
TRAIN = $(BIN)/espcn train $(DATA) --valid $(VALID) --license "$(TERMS)" --output weights/$@.safetensors $(RESUME)
NETWORKS := $(foreach name,espcn espcn-s espcn-m espcn-l,$(foreach scale,2 3 4,$(name)_x$(scale)))

.PHONY: $(NETWORKS) autoencoder scores
weights: $(NETWORKS) autoencoder

# First into runs/, each file once; ×3 and ×4 start from ×2. Then those that gained by it again, from there, two of them
# twice. Of an option given twice, the last one counts.
FIRST = mkdir -p runs/unfinished && $(BIN)/espcn train $(DATA) --valid $(VALID) --license "$(TERMS)" --precision bf16 \
	--learning-rate 2e-3 --clip 0.3 --validate-every 3000 --output runs/unfinished/$(@F) $(RESUME) $(1) \
	&& cp runs/unfinished/$(@F) $@
AGAIN = $(TRAIN) --precision fp32 --learning-rate 1.5e-3 --clip 0.3 --finish 0.15 --init runs/$@.safetensors
THIRD = $(TRAIN) --precision bf16 --init runs/$@_again.safetensors
SOAP := --optimiser soap --learning-rate 5e-3 --expansion 0 --finish 0.1 --precision fp32
ANY := --candidates 1 --clip 0
SOFT := --precision fp32 --learning-rate 1e-3 --clip 0.1
WIDE := --learning-rate 1e-3 --clip 0.1 --validate-every 4000

runs/espcn_x2.safetensors: | install ; $(call FIRST,-m espcn -s 2 --minutes 16 $(SOAP) --patch-size 64)
runs/espcn_x3.safetensors: runs/espcn_x2.safetensors ; $(call FIRST,-m espcn -s 3 --minutes 10 $(SOAP) --init $<)
runs/espcn_x4.safetensors: runs/espcn_x2.safetensors ; $(call FIRST,-m espcn -s 4 --minutes 10 $(SOAP) --init $< --patch-size 128)
runs/espcn-s_x2.safetensors: | install ; $(call FIRST,-m espcn-s -s 2 --steps 30000 $(ANY))
runs/espcn-s_x3.safetensors: runs/espcn-s_x2.safetensors ; $(call FIRST,-m espcn-s -s 3 --steps 12000 $(ANY) --init $<)
runs/espcn-s_x4.safetensors: runs/espcn-s_x2.safetensors ; $(call FIRST,-m espcn-s -s 4 --steps 12000 $(ANY) --init $< --patch-size 128)
runs/espcn-m_x2.safetensors: | install ; $(call FIRST,-m espcn-m -s 2 --minutes 46 $(SOFT) --patch-size 64 --finish 0.1 --validate-every 6000)
runs/espcn-m_x2_again.safetensors: runs/espcn-m_x2.safetensors
	$(call FIRST,-m espcn-m -s 2 --minutes 75 $(SOFT) --patch-size 64 --finish 0.1 --validate-every 10000 --seed 1 --init $<)
	cp runs/unfinished/$(basename $(@F)).run/last.safetensors $@ # not the best mean: see kodim15 in the model card
runs/espcn-m_x3.safetensors: runs/espcn-m_x2_again.safetensors ; $(call FIRST,-m espcn-m -s 3 --minutes 19 $(SOFT) --finish 0.15 --validate-every 5000 --init $<)
runs/espcn-m_x4.safetensors: runs/espcn-m_x2.safetensors ; $(call FIRST,-m espcn-m -s 4 --minutes 20 $(SOFT) --finish 0.15 --validate-every 4000 --init $< --patch-size 128)
runs/espcn-l_x2.safetensors: runs/espcn-m_x2.safetensors ; $(call FIRST,-m espcn-l -s 2 --minutes 75 $(WIDE) --patch-size 64 --finish 0.1 --seed 1 --init $<)
runs/espcn-l_x2_again.safetensors: runs/espcn-l_x2.safetensors ; $(call FIRST,-m espcn-l -s 2 --minutes 42 $(WIDE) --learning-rate 7e-4 --patch-size 64 --finish 0.1 --seed 2 --init $<)
runs/espcn-l_x3.safetensors: runs/espcn-l_x2.safetensors ; $(call FIRST,-m espcn-l -s 3 --minutes 15 $(WIDE) --finish 0.15 --init $<)
runs/espcn-l_x4.safetensors: runs/espcn-l_x2.safetensors ; $(call FIRST,-m espcn-l -s 4 --minutes 13 $(WIDE) --finish 0.15 --patch-size 128 --init $<)

$(NETWORKS): %: runs/%.safetensors
espcn_x2: ; $(AGAIN) -m espcn -s 2 --minutes 11 --validate-every 3000 $(SOAP) --learning-rate 3e-3 --patch-size 64
espcn_x4: ; $(AGAIN) -m espcn -s 4 --minutes 11 --validate-every 3000 $(SOAP) --learning-rate 3e-3 --patch-size 128
espcn-s_x2: ; $(AGAIN) -m espcn-s -s 2 --minutes 13 --validate-every 6000 --patch-size 64
espcn-s_x3: ; $(AGAIN) -m espcn-s -s 3 --minutes 14 --validate-every 6000
espcn-m_x2 espcn-l_x2: %: runs/%_again.safetensors
espcn-m_x2: ; $(THIRD) -m espcn-m -s 2 --minutes 42 $(SOFT) --learning-rate 6e-4 --patch-size 64 --finish 0.12 --validate-every 10000 --seed 4
espcn-l_x2: ; $(THIRD) -m espcn-l -s 2 --minutes 45 $(WIDE) --learning-rate 7e-4 --patch-size 64 --finish 0.12 --seed 3
espcn-l_x3: ; $(AGAIN) -m espcn-l -s 3 --minutes 50 $(WIDE) --precision bf16 --finish 0.15 --seed 1
espcn_x3 espcn-s_x4 espcn-m_x3 espcn-m_x4 espcn-l_x4: ; cp runs/$@.safetensors weights/$@.safetensors

MNIST ?= ../shared/data/mnist
autoencoder: install
	$(BIN)/espcn autoencoder train $(MNIST) --output weights/autoencoder.safetensors

# Score the shipped weights on the benchmark sets, and record the scores in them.
SETS ?= ../shared/data/benchmarks
scores: install
	$(BIN)/python benchmarks/scores.py $(SETS) --record
