# make demo, make test: each does all of its own set-up, once, into .venv.
# The stamp's name holds a checksum of the dependency files: when they change, the next call installs again.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KEY    := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
BASE   := $(VENV)/.base-$(KEY)
DEV    := $(VENV)/.dev-$(KEY)
SERVE  := $(VENV)/.serve-$(KEY)
# make demo DEMO_FLAGS="--sample-scenes 1000"
DEMO_FLAGS ?=

# make serve BUNDLE=output SERVE_FLAGS="--port 8080"
BUNDLE ?= output
SERVE_FLAGS ?=

# make test-python ON=3.11 NUMPY=2.4.6; without NUMPY the one that constraints.txt names
ON    ?= 3.13
NUMPY ?=

.PHONY: help demo serve test test-fast test-python check format constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         install, train on the sample data with signals, write output/"
	@echo "make serve        the search page over BUNDLE (output); trains on the sample data where there is none"
	@echo "make test         install what testing needs and run every test"
	@echo "make test-fast    every test but the slow ones"
	@echo "make test-python  the same on another Python, in an environment of its own: ON=3.12 NUMPY=2.4.6"
	@echo "make check        format, lint and types, without changing a file"
	@echo "make format       format and fix what can be fixed"
	@echo "make constraints  pin the newest versions that go together"

demo: | $(BASE)
	$(BIN)/python train.py --use-sample-data --include-timeseries --output-dir output $(DEMO_FLAGS)

serve: | $(SERVE)
	@test -f $(BUNDLE)/bundle.json || \
	  $(BIN)/python train.py --use-sample-data --include-timeseries --output-dir $(BUNDLE) $(DEMO_FLAGS)
	$(BIN)/python -m multimodal_search serve --bundle $(BUNDLE) $(SERVE_FLAGS)

test: | $(DEV)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: | $(DEV)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-python: | $(DEV)
	UV=$(BIN)/uv tests/on_python.sh $(ON) $(NUMPY)

check: | $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: | $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What testing needs includes the base, so a .venv made by `make test` serves `make demo` as it is.
$(BASE): | $(VENV)/bin/python
	@if [ ! -e $(DEV) ]; then $(BIN)/python -m pip install --quiet -c constraints.txt -e . ; fi
	@touch $@

$(SERVE): | $(VENV)/bin/python
	@if [ ! -e $(DEV) ]; then $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[serve]' ; fi
	@touch $@

$(DEV): | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); sys.exit(0 if ok else "This needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# nvidia-*, triton and cuda-* are left to torch, which pins its own; sagemaker would pin half of the rest.
constraints: | $(DEV)
	$(BIN)/python -m pip install --quiet uv
	{ echo "# Versions that were tested together; pip install -c constraints.txt. Made by: make constraints"; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-package sagemaker \
	    -c constraints-floor.txt --no-header --no-annotate pyproject.toml \
	  | grep -vE '^(nvidia|triton|cuda|sagemaker)'; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) output build dist *.egg-info
