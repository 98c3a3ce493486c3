# The two commands: `make demo` shows plipdesk on a real slide, `make test` runs all checks. Either sets everything up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first Python on the machine that is new enough; or name one: make demo PYTHON=python3.12
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; exit; }; done; echo python3)

# An environment named by VENV=DIR is used as it is. The default one is made, and kept as the lock file says.
ifeq ($(origin VENV), undefined)
VENV := .venv
INSTALLED := $(VENV)/plipdesk-installed.json
endif
RUN := $(VENV)/bin/python

.PHONY: help setup demo run check test soak bench lock docs news hooks clean

help:
	@echo "make demo   set up, index a real slide, search it, open the window (SLIDE=FILE, WORDS='…', OFFSCREEN=1)"
	@echo "make run    open the window on your own workspace"
	@echo "make test   lint, types, import contracts and the whole test suite"
	@echo "make check  lint, types and import contracts alone"
	@echo "make soak   the long forms of the kill, fuzz and memory tests"
	@echo "make bench  measure speed and memory (ONLY='name …')"
	@echo "make lock   write the lock files anew from pyproject.toml (UPGRADE=1: with the newest releases)"
	@echo "make docs   write docs/commands.md anew from the commands"
	@echo "make hooks  run the quick checks at every commit"
	@echo "make clean  remove the environment, the demo and all caches"
	@echo
	@echo "PYTHON=python3.12 names the Python, VENV=DIR an environment to use as it is,"
	@echo "TORCH_INDEX=ADDRESS a package index with another build of torch, such as the one for CPUs alone."

setup: $(INSTALLED)

.venv/plipdesk-installed.json: requirements.lock requirements-build.lock pyproject.toml packaging/bootstrap.py packaging/system.py
	@$(PYTHON) packaging/bootstrap.py --venv $(VENV) $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)")

demo: setup
	@$(RUN) packaging/demo.py $(if $(SLIDE),--slide "$(SLIDE)") $(if $(WORDS),--words "$(WORDS)") $(if $(OFFSCREEN),--offscreen)

run: setup
	@$(RUN) -m plipdesk

check: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

test: check
	$(RUN) -m pytest

soak: setup
	$(RUN) -m pytest -m soak

bench: setup
	$(RUN) -m benchmarks $(ONLY)

lock: setup
	$(RUN) -m pip install --quiet uv
	$(RUN) packaging/lock.py $(if $(UPGRADE),--upgrade)

docs: setup
	$(RUN) packaging/command_docs.py

news: setup
	$(RUN) -m towncrier build --draft

hooks: setup
	$(VENV)/bin/pre-commit install

clean:
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
