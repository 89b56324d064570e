# Needs Python 3.11, 3.12 or 3.13 and nothing else: every target makes what it runs in.
# The first run installs the pinned packages into .venv; later runs start at once.

PYTHON = python3
WORKERS = 2
VENV = .venv
BIN = $(VENV)/bin

.PHONY: help demo test lint check bench clean
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL = help

help:  ## Say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

demo: $(VENV)/.base  ## Run the bundled study of four real cohorts; its results go to demo-out/
	rm -rf demo-out
	$(BIN)/equipoise demo --out demo-out

test: $(VENV)/.test  ## Run the tests, the examples in docstrings, and the commands in README and docs
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

lint: $(VENV)/.test  ## Check format, style, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo

check: lint test  ## Run every check: lint, then test

bench: $(VENV)/.test  ## Run every benchmark; each writes to benchmarks/results/
	@set -e; for file in benchmarks/*.py; do \
		if [ -e "$$file" ]; then echo "$$file"; $(BIN)/python "$$file"; fi; \
	done

clean:  ## Remove .venv, caches and outputs
	rm -rf $(VENV) demo-out .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps on one environment: the base package, and the base package with the tools of the tests.
$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.[test])
	@touch $(VENV)/.base $@

define install
@echo "Installing the pinned packages into $(VENV) ..."
@if command -v uv >/dev/null 2>&1; \
then uv pip install --quiet --compile-bytecode --python $(BIN)/python \
	--constraint constraints.txt --editable '$(1)'; \
else $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check \
	--constraint constraints.txt --editable '$(1)'; fi
@$(BIN)/python -m compileall -q src  # else each start does it where Python may not write bytecode
endef

$(BIN)/python:
	@rm -rf $(VENV); \
	for python in $(PYTHON) python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
			2>/dev/null; \
		then \
			if command -v uv >/dev/null 2>&1; \
			then exec uv venv --quiet --seed --python "$$(command -v $$python)" $(VENV); \
			else exec $$python -m venv $(VENV); fi; \
		fi; \
	done; \
	echo "Python 3.11, 3.12 or 3.13 is needed, as $(PYTHON); or name one: make PYTHON=..." >&2; \
	exit 1
