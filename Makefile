# Two commands do everything on a fresh machine:
#   make reproduce   set up, then the paper's experiments on the embedded corpus: the search for hyper-parameters, then
#                    every table and figure with the network that won it (SWEEP=no: with the profile's network)
#   make test        set up, then flake8 and the tests
# and a third one runs the notebooks in place, on what the first has made:
#   make notebooks
# The questions that the paper leaves open, each by trainings of its own, then the report again:
#   make questions
# A page to see and hear what the network makes of the test songs, in any browser:
#   make explore
# Speed and memory of every part, against their targets, in about half an hour; PyTorch and JAX are compared where installed:
#   make bench
#
# What is installed has the versions of constraints.txt. With the newest ones instead:
#   make constraints
#
# The model that ships with the package is the embedded corpus's, and the splits in data/splits are those that the
# scripts draw; they are made again by
#   make model
#   make splits
#
# One experiment, on a data set of yours:
#   make table1 DATASET=gtzan ROOT=~/data/gtzan PROFILE=paper ARGS="--repeats 5"

PYTHON  ?= python3
VENV    ?= .venv
DATASET ?= synthetic
PROFILE ?= demo
ROOT    ?=
OUT     ?=
SEED    ?= 0
JOBS    ?= -1
SWEEP   ?= yes
ARGS    ?=

BIN     := $(VENV)/bin
QUIETLY := --quiet --disable-pip-version-check
OPTIONS  = --dataset $(DATASET) --profile $(PROFILE) --seed $(SEED) --jobs $(JOBS) \
           $(if $(ROOT),--root "$(ROOT)") $(if $(OUT),--out "$(OUT)") $(ARGS)
# in the order in which each uses what the one before has made
TAGGING     := table4 figure3
QUESTIONS   := pca pooling context subsets minibatch pretraining later recipes transfer
EXPERIMENTS := sweep table1 table2 table3 figure1 figure2 $(TAGGING) report
# what `reproduce` leaves out: only the synthetic corpus has both genres and tags
LEFT_OUT     = $(if $(filter synthetic,$(DATASET)),,$(TAGGING)) $(if $(filter yes,$(SWEEP)),,sweep)
# with the synthetic corpus, set-up included; of others nobody knows before their frames are counted
TIME_smoke  := one to five minutes on two cores
TIME_demo   := 15 to 50 minutes on two cores
TIME         = $(if $(filter synthetic,$(DATASET)),$(or $(TIME_$(PROFILE)),hours: the search says how many),longer \
               than the synthetic corpus: the search says how long)

.PHONY: help setup reproduce announce explore questions notebooks test lint constraints model splits bench clean \
        $(EXPERIMENTS) $(QUESTIONS)

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

setup: $(BIN)/.dbn

$(BIN)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) -m venv failed; install its venv module (Debian: apt install python3-venv)" >&2; exit 2; }
	@touch $@

$(BIN)/.dbn: setup.cfg setup.py constraints.txt $(BIN)/.venv
	$(BIN)/pip install $(QUIETLY) --constraint constraints.txt --editable .
	@touch $@

$(BIN)/.dbn-test: setup.cfg setup.py constraints.txt $(BIN)/.venv
	$(BIN)/pip install $(QUIETLY) --constraint constraints.txt --editable ".[test]"
	@touch $@ $(BIN)/.dbn

# the newest versions of everything, in a new environment; run the tests with them before you keep the file
constraints:
	rm -rf build/newest
	$(PYTHON) -m venv build/newest
	build/newest/bin/pip install $(QUIETLY) ".[test]"
	@{ echo "# The versions that the results were made with; \`make constraints\` writes the newest ones here."; \
	   build/newest/bin/pip freeze --exclude dbn; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

reproduce: announce setup
	@network=; for experiment in $(filter-out $(LEFT_OUT),$(EXPERIMENTS)); do \
	  $(BIN)/python -m experiments.$$experiment $(OPTIONS) $$network || exit $$?; \
	  if [ $$experiment = sweep ]; then network=--from-sweep; fi; \
	done

announce:
	@echo "results go to $(or $(OUT),$$($(PYTHON) experiments/steps/results_folder.py $(DATASET) $(PROFILE) $(if \
	  $(ROOT),"$(ROOT)"))), at the end report.html; it takes $(TIME)"

explore $(EXPERIMENTS): setup
	$(BIN)/python -m experiments.$@ $(OPTIONS)

questions: setup
	$(BIN)/python -m experiments.questions $(OPTIONS)
	$(BIN)/python -m experiments.report $(OPTIONS)

$(QUESTIONS): setup
	$(BIN)/python -m experiments.questions.$@ $(OPTIONS)

notebooks: $(BIN)/.dbn-test
	DBN_PROFILE=$(PROFILE) $(if $(OUT),DBN_OUT="$(abspath $(OUT))") $(BIN)/jupyter execute --inplace notebooks/*.ipynb

model: setup
	$(BIN)/python -m experiments.steps.ship_model --jobs $(JOBS)

splits: setup
	$(BIN)/python -m experiments.steps.ship_splits

bench: setup
	$(BIN)/python -m experiments.bench $(if $(OUT),--out "$(OUT)") $(ARGS)

lint: $(BIN)/.dbn-test
	$(BIN)/flake8
	$(BIN)/lint-imports --no-cache

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

clean:
	rm -rf build dist *.egg-info .pytest_cache
