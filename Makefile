# make demo and make test do everything from a clean clone; they need Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install demo test test-all lint check-release format clean weights
.DEFAULT_GOAL := help

help:
	@echo "make install   a virtual environment in $(VENV) with espcn in it"
	@echo "make demo      upscale a photograph with the shipped weights, measure them on it, make demo/live.html"
	@echo "make test      the tests, on all cores, but for a few that are slow by nature"
	@echo "make test-all  all tests"
	@echo "make lint      ruff, mypy, and which part may import which"
	@echo "make check-release  wheel and sdist, tried in empty environments with the oldest and newest Python and packages"
	@echo "make format    put the code into shape"
	@echo "make weights   train every shipped network again (hours): DATA=... VALID=..."
	@echo "make clean     remove what the other targets made"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[fast]'
	@touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) --editable '.[fast,deep,formats,plots,tensorboard,video,watch,cluster,test,lint]'
	@touch $@

install: $(VENV)/installed

demo: install
	@mkdir -p demo
	$(BIN)/espcn upscale examples/cat.png demo/cat_x2.png --overwrite
	$(BIN)/espcn upscale examples/cat.png demo/cat_x4.png --overwrite --scale 4
	$(BIN)/espcn export espcn-m-real demo/live.html --overwrite
	$(BIN)/espcn benchmark examples --scale 2
	$(BIN)/espcn models

# A process for each core; one that has done its tests takes over some of another's.
PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test: $(VENV)/developing
	$(PYTEST) -m "not slow"

test-all: $(VENV)/developing
	$(PYTEST)

lint: $(VENV)/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-release: $(VENV)/developing
	PYTHON=$(CURDIR)/$(BIN)/python .ci/release

format: $(VENV)/developing
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The shipped weights, each by the commands that make it. DATA and VALID are folders of photographs; the model card,
# weights/README.md, says which. What is finished is kept in runs/, and what was interrupted goes on there: remove runs/
# to train on other pictures.

DATA ?= ../shared/data/train
VALID ?= ../shared/data/valid
DRAWINGS ?= ../shared/data/drawings/train
TERMS := MIT; trained on research sets and freely licensed photographs, see weights/README.md
NAMES := espcn espcn-s espcn-m espcn-l espcn-s-real espcn-m-real espcn-l-real
NETWORKS := $(foreach name,$(NAMES),$(foreach scale,2 3 4,$(name)_x$(scale)))

.PHONY: $(NETWORKS) autoencoder scores
weights: $(NETWORKS) autoencoder
$(NETWORKS): %: runs/%.safetensors ; cp $< weights/

# One training: which network and scale is in the file's name, where it starts from is what the file depends on.
# NAME_1 and NAME_2 are what NAME itself goes on from.
PARTS = $(subst _, ,$(basename $(@F)))
UNFINISHED = runs/unfinished/$(basename $(@F))
TRAIN = mkdir -p runs/unfinished && $(BIN)/espcn train $(DATA) --valid $(VALID) --license "$(TERMS)" \
	-m $(patsubst %-real,%,$(word 1,$(PARTS))) -s $(subst x,,$(word 2,$(PARTS))) $(addprefix --init ,$<) $(1) \
	--output $(UNFINISHED).safetensors --$(if $(wildcard $(UNFINISHED).run/state.safetensors),resume,overwrite) \
	&& cp $(UNFINISHED).safetensors $@

SOAP := --optimiser soap --expansion 0 --precision fp32 --clip 0.3 --finish 0.1 --validate-every 3000
runs/espcn_x2_1.safetensors: | install ; $(call TRAIN,$(SOAP) --minutes 16 --learning-rate 5e-3 --patch-size 64)
runs/espcn_x2.safetensors: runs/espcn_x2_1.safetensors ; $(call TRAIN,$(SOAP) --minutes 11 --learning-rate 3e-3 --patch-size 64)
runs/espcn_x3.safetensors: runs/espcn_x2_1.safetensors ; $(call TRAIN,$(SOAP) --minutes 10 --learning-rate 5e-3)
runs/espcn_x4_1.safetensors: runs/espcn_x2_1.safetensors ; $(call TRAIN,$(SOAP) --minutes 10 --learning-rate 5e-3 --patch-size 128)
runs/espcn_x4.safetensors: runs/espcn_x4_1.safetensors ; $(call TRAIN,$(SOAP) --minutes 11 --learning-rate 3e-3 --patch-size 128)

ANY := --precision bf16 --learning-rate 2e-3 --candidates 1 --clip 0 --validate-every 3000
MORE := --precision fp32 --learning-rate 1.5e-3 --clip 0.3 --finish 0.15 --validate-every 6000
runs/espcn-s_x2_1.safetensors: | install ; $(call TRAIN,$(ANY) --steps 30000)
runs/espcn-s_x2.safetensors: runs/espcn-s_x2_1.safetensors ; $(call TRAIN,$(MORE) --minutes 13 --patch-size 64)
runs/espcn-s_x3_1.safetensors: runs/espcn-s_x2_1.safetensors ; $(call TRAIN,$(ANY) --steps 12000)
runs/espcn-s_x3.safetensors: runs/espcn-s_x3_1.safetensors ; $(call TRAIN,$(MORE) --minutes 14)
runs/espcn-s_x4.safetensors: runs/espcn-s_x2_1.safetensors ; $(call TRAIN,$(ANY) --steps 12000 --patch-size 128)

SOFT := --precision fp32 --clip 0.1
runs/espcn-m_x2_1.safetensors: | install
	$(call TRAIN,$(SOFT) --minutes 46 --learning-rate 1e-3 --patch-size 64 --finish 0.1 --validate-every 6000)
runs/espcn-m_x2_2.safetensors: runs/espcn-m_x2_1.safetensors
	$(call TRAIN,$(SOFT) --minutes 75 --learning-rate 1e-3 --patch-size 64 --finish 0.1 --validate-every 10000 --seed 1)
	cp $(UNFINISHED).run/last.safetensors $@ # not the best mean: see kodim15 in the model card
runs/espcn-m_x2.safetensors: runs/espcn-m_x2_2.safetensors
	$(call TRAIN,$(SOFT) --minutes 42 --learning-rate 6e-4 --patch-size 64 --finish 0.12 --validate-every 10000 --seed 4)
runs/espcn-m_x3_1.safetensors: runs/espcn-m_x2_2.safetensors
	$(call TRAIN,$(SOFT) --minutes 19 --learning-rate 1e-3 --finish 0.15 --validate-every 5000)
runs/espcn-m_x3.safetensors: runs/espcn-m_x3_1.safetensors
	$(call TRAIN,$(SOFT) --minutes 20 --learning-rate 1e-3 --finish 0.15 --validate-every 4000 --seed 1)
runs/espcn-m_x4.safetensors: runs/espcn-m_x2.safetensors
	$(call TRAIN,$(SOFT) --minutes 40 --learning-rate 1e-3 --patch-size 128 --finish 0.15 --validate-every 4000)

WIDE := --precision bf16 --clip 0.1 --validate-every 4000
runs/espcn-l_x2_1.safetensors: runs/espcn-m_x2_1.safetensors
	$(call TRAIN,$(WIDE) --minutes 75 --learning-rate 1e-3 --patch-size 64 --finish 0.1 --seed 1)
runs/espcn-l_x2_2.safetensors: runs/espcn-l_x2_1.safetensors
	$(call TRAIN,$(WIDE) --minutes 42 --learning-rate 7e-4 --patch-size 64 --finish 0.1 --seed 2)
runs/espcn-l_x2.safetensors: runs/espcn-l_x2_2.safetensors
	$(call TRAIN,$(WIDE) --minutes 45 --learning-rate 7e-4 --patch-size 64 --finish 0.12 --seed 3)
runs/espcn-l_x3_1.safetensors: runs/espcn-l_x2_1.safetensors
	$(call TRAIN,$(WIDE) --minutes 15 --learning-rate 1e-3 --finish 0.15)
runs/espcn-l_x3_2.safetensors: runs/espcn-l_x3_1.safetensors
	$(call TRAIN,$(WIDE) --minutes 50 --learning-rate 1e-3 --finish 0.15 --seed 1)
runs/espcn-l_x3.safetensors: runs/espcn-l_x3_2.safetensors
	$(call TRAIN,$(WIDE) --minutes 80 --learning-rate 1e-3 --finish 0.15 --seed 4)
runs/espcn-l_x4.safetensors: runs/espcn-l_x2.safetensors
	$(call TRAIN,$(WIDE) --minutes 42 --learning-rate 1e-3 --patch-size 128 --finish 0.15)

# For the pictures that people have: from the clean weights that are shipped, with which they can be mixed. Two on a CPU;
# the others on a GPU, of which they took eight minutes side by side: a CPU takes hours for each.
SCENES := --degradation real --drawings $(DRAWINGS)
NEARBY := $(SCENES) --precision fp32 --patch-size 64 --finish 0.15 --learning-rate 7e-4
runs/espcn-s-real_x2.safetensors: weights/espcn-s_x2.safetensors | install
	$(call TRAIN,$(NEARBY) --minutes 30 --validate-every 2000)
runs/espcn-m-real_x2_1.safetensors: weights/espcn-m_x2.safetensors | install
	$(call TRAIN,$(NEARBY) --minutes 80 --validate-every 1000)
runs/espcn-m-real_x2_2.safetensors: runs/espcn-m-real_x2_1.safetensors
	$(call TRAIN,$(NEARBY) --minutes 35 --validate-every 5000 --seed 13 --learning-rate 2e-4 --finish 0.25)
runs/espcn-m-real_x2.safetensors: runs/espcn-m-real_x2_1.safetensors runs/espcn-m-real_x2_2.safetensors
	$(BIN)/python benchmarks/average.py $^ $@ --share 0.33 --valid $(VALID)
DAMAGED := $(SCENES) --precision bf16 --batch-size 64 --validate-every 8000
runs/%-real_x2.safetensors: weights/%_x2.safetensors | install ; $(call TRAIN,$(DAMAGED) $(DAMAGED_$*))
runs/%-real_x3.safetensors: weights/%_x3.safetensors | install ; $(call TRAIN,$(DAMAGED) $(DAMAGED_$*))
runs/%-real_x4.safetensors: weights/%_x4.safetensors | install ; $(call TRAIN,$(DAMAGED) $(DAMAGED_$*) --patch-size 128)
DAMAGED_espcn-s := --steps 65000 --learning-rate 1e-3
DAMAGED_espcn-m := --steps 45000 --learning-rate 1e-3
DAMAGED_espcn-l := --steps 50000 --learning-rate 7e-4

MNIST ?= ../shared/data/mnist
autoencoder: install
	$(BIN)/espcn autoencoder train $(MNIST) --output weights/autoencoder.safetensors --overwrite

# Score the shipped weights on the benchmark sets, and record the scores in them.
SETS ?= ../shared/data/benchmarks
scores: install
	$(BIN)/python benchmarks/scores.py $(SETS) --record
