# The environment is always .venv at the root; .venv/bin/python runs everything after any of these.
PYTHON ?= python3
# Which build of torch, as uv names it (cpu, cu130, rocm6.4, ...), at the versions of the lock file; empty: the lock file's own.
TORCH ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
# Where Python keeps no compiled files, each process compiles all of torch again, which takes longer than a short test.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test slow long quiet check format docs smoke golden oldest matrix bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/ready ## build .venv from the lock file

.venv/ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gan_style needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
ifeq ($(TORCH),)
	@command -v nvidia-smi >/dev/null || echo "no NVIDIA driver here: make setup TORCH=cpu takes no CUDA libraries (docs/install.md)"
	$(BIN)/uv sync --quiet --locked --inexact --compile-bytecode --python $(BIN)/python
else
	$(BIN)/uv export --quiet --locked --no-hashes --no-emit-project | grep -vE '^(nvidia-|cuda-|triton)' > .venv/locked.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --torch-backend $(TORCH) -r .venv/locked.txt -e .
endif
	@touch $@

# Feature maps of 64 pixels are too small to share between threads: measured on two cores, one is 1.3 times as fast as two.
demo: setup ## train the built-in demo, print its scores, the pictures and the report
	OMP_NUM_THREADS=1 $(BIN)/python train.py experiment=demo

test: setup ## run the default tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

slow: setup ## run the tests that take longer or start several processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not ddp" -n 2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ddp

long: setup ## run the tests that take minutes: benchmarks, notebooks, compiled networks, healthy trainings
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long -n 2

quiet: setup ## run the tests that want a machine to themselves
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m quiet

check: setup ## format, lint, types, spelling and tests, as a reviewer would
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(MAKE) test

format: setup ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## build the site, and look at every link in it
	$(BIN)/python -m pages.build

smoke: setup ## two iterations of every model
	for model in $(notdir $(basename $(wildcard conf/model/*.yaml))); do \
	  GAN_STYLE_VGG=random $(BIN)/python train.py model=$$model data=tiny debug=smoke || exit 1; done

golden: setup ## write tests/golden again, when numbers change on purpose
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.golden

PYTHONS ?= 3.11 3.12 3.13 3.14
matrix: setup ## run the default tests on each Python of PYTHONS that is here, in an environment of its own
	@export PATH="$$PATH:$$(echo $$HOME/.pyenv/versions/*/bin | tr ' ' ':')"; failed=""; \
	for python in $(PYTHONS); do \
	  found=$$($(BIN)/uv python find --no-project $$python 2>/dev/null) || { echo "== no Python $$python here: left out"; continue; }; \
	  echo "== Python $$python: $$found"; \
	  UV_PROJECT_ENVIRONMENT=.venv/$$python $(BIN)/uv sync --quiet --locked --python $$found && \
	  OMP_NUM_THREADS=1 .venv/$$python/bin/python -m pytest -n 2 -q || failed="$$failed $$python"; \
	done; [ -z "$$failed" ] || { echo "failed on$$failed"; exit 1; }

OLDEST := .venv/oldest
oldest: setup ## golden losses and a short demo with the oldest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(OLDEST)
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct -e . "pytest>=8.4" "pytest-timeout>=2.3"
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest tests/test_golden.py
	$(OLDEST)/bin/python train.py experiment=demo data.count=8 trainer.max_steps=4 run_dir=$(OLDEST)/demo

bench: setup ## speed as ratios against plain PyTorch
	$(BIN)/python experiments/benchmark.py suite=step

clean: ## remove runs, caches and the environment
	rm -rf runs build .venv .pytest_cache .mypy_cache .ruff_cache
