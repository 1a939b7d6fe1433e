# `make` lists the targets. Everything happens in $(VENV); nothing but `make deps` touches the system.

PYTHON  ?= python3
VENV    ?= .venv
# What the tests import: `source` (this checkout, editable) or `wheel` (built from the sdist).
PACKAGE ?= source
PYTEST  ?=

BIN     := $(VENV)/bin
EXTRAS  := modtool,enginetest,mtls
# A clone that belongs to somebody else, or a machine without a compiler cache, must not change what is built.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint format proto bench clean deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.source ## generate a module, launch it, boot its engine, ask it for a page
	@$(BIN)/python examples/demo.py

test: $(VENV)/.$(PACKAGE) ## run the tests
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.source ## style, types, import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --no-warn-unreachable
	$(BIN)/mypy tests/typing
	$(BIN)/lint-imports

format: $(VENV)/.source ## rewrite to the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

proto: $(VENV)/.source ## regenerate the committed messages from their .proto files
	$(BIN)/python -m tests.plugin.proto

bench: $(VENV)/.bench ## measure what the README claims
	$(BIN)/python -m benchmarks

clean: ## remove what the other targets made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

deps: ## Debian, as root: install Go, Redis, Docker and PostgreSQL for the tests that want them
	./.ci/deps

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or later is needed; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# A stamp per way of installation; each removes the other, because both install the same name.
$(VENV)/.source: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --group test --group lint
	@rm -f $(VENV)/.wheel && touch $@

$(VENV)/.wheel: pyproject.toml $(shell find sdk template -type f -not -name '*.pyc' 2>/dev/null | sed 's/ /\\ /g') | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group test --group lint
	rm -rf build/wheel && $(BIN)/python -m build --outdir build/wheel . >/dev/null
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps build/wheel/*.whl
	$(BIN)/python -m pip install --quiet "$$(echo build/wheel/*.whl)[$(EXTRAS)]"
	@rm -f $(VENV)/.source && touch $@

$(VENV)/.bench: $(VENV)/.source
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@
