# Everything runs in .venv, which the first target that needs it builds.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
FACES ?=
WEIGHTS ?=

.PHONY: help setup demo docs package test test-slow lint format gpu equivalence fuzz hub-path mutants cards clean
help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.ready: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[faces,demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.ready
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

setup: $(VENV)/.dev  ## build .venv with the tested versions and the tools

demo: $(VENV)/.ready  ## prepare, pretrain, extract, probe; FACES=folder takes real videos
	$(BIN)/python -m preface_hf demo --output-dir demo $(if $(FACES),--faces $(FACES)) $(if $(WEIGHTS),--weights $(WEIGHTS))

test: $(VENV)/.dev  ## the fast suite, in as many processes as there are cores, up to 8
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist worksteal

test-slow: $(VENV)/.dev  ## what takes minutes
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## the site, into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -q

package: $(VENV)/.dev  ## sdist and wheel into dist/, installed and used outside of this folder
	rm -rf dist
	$(BIN)/python -m build --no-isolation -q
	PACKAGES=dist $(BIN)/python -m pytest -q -m slow tests/test_package.py

gpu: $(VENV)/.dev  ## the checks that need a CUDA device; SETS=folder adds the learning table at vit-s (benchmarks/learning)
	$(BIN)/python -m pytest -q -m gpu
	$(if $(SETS),PATH=$(CURDIR)/$(BIN):$$PATH sh benchmarks/learning/gpu.sh $(SETS) $(or $(OUT),gpu-table) $(or $(MINUTES),25))

equivalence: $(VENV)/.dev  ## converted weights beside marlin-pytorch and VideoMAE, on the clips in FACES/marlin_clips
	$(BIN)/pip install -q --no-deps --target $(VENV)/marlin marlin-pytorch==0.3.4 einops ffmpeg-python future
	PYTHONPATH=. $(BIN)/python benchmarks/equivalence.py $(FACES)/marlin_clips $(VENV)/marlin

fuzz: $(VENV)/.dev  ## damaged videos, checkpoints, sets and settings for MINUTES=60 at most; KIND=videos, SEED=0, LOG=file
	$(BIN)/python -m benchmarks.fuzz --minutes $(or $(MINUTES),60) --seed $(or $(SEED),0) --kind $(or $(KIND),all) --log $(or $(LOG),fuzz.jsonl)

hub-path: $(VENV)/.dev  ## from an empty environment with only the wheel: push, open by name, fine-tune, stream
	PYTHONPATH=. $(BIN)/python benchmarks/hub_path.py

mutants: $(VENV)/.dev  ## small changes to the code that some test must notice, 44 of SEED (half an hour); goes on in OUT
	$(BIN)/pip install -q -c constraints.txt cosmic-ray
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mutants.py $(or $(OUT),runs/mutants.jsonl) --seed $(or $(SEED),0)

cards: $(VENV)/.dev  ## the cards of the packaged settings, in model_cards/
	$(BIN)/python -m preface_hf.hub.settings model_cards

clean:
	rm -rf $(VENV) demo build *.egg-info
