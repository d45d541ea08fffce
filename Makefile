# One command for each thing that people do here; `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup setup-all demo test check bench faults docs system lock clean

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PACKAGES := features models training serving stagecast
# Every package comes from the lock by its hash; one that is missing there is refused.
# Compiled here once: where Python may not keep what it compiled, each command would take 2 s more.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
BUILT := --build-constraint requirements.lock
LOCKED := $(BUILT) --require-hashes --constraint requirements.lock --requirement pyproject.toml

# The libraries below report use, draw bars and warn unless they are told not to.
export GIT_PYTHON_REFRESH := quiet
export MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR := false
export MLFLOW_LOGGING_LEVEL := WARNING
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# BentoML reads no other word than "true" here.
export BENTOML_DO_NOT_TRACK := true
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.core-stamp ## make .venv with what stagecast needs to run, and no more

setup-all: .venv/.all-stamp ## add Spark, the console and what the tests need

demo: .venv/.core-stamp ## a year of a real grocer: import, train, judge and forecast, in ./demo
	@$(BIN)/python -m stagecast.demo $(ARGS)

test: .venv/.all-stamp ## run every test, a file at a time on each core (ARGS="-k words" for some)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/.all-stamp ## lint, formatting, types, and the one way that imports run
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.all-stamp ## run every benchmark (see benchmarks/README.md)
	@set -e; for file in $(wildcard benchmarks/[a-z]*.py); do \
		$(BIN)/python -m benchmarks.$$(basename $$file .py); done

# Many times what `make test` does; the page is written where all of it went well.
faults: .venv/.all-stamp ## kill, starve, cut off and pester processes, and write docs/faults.md
	@records=$$(mktemp) && trap 'rm -f "$$records"' EXIT && \
	STAGECAST_KILLS=$${STAGECAST_KILLS:-50} STAGECAST_EXAMPLES=$${STAGECAST_EXAMPLES:-1000} \
	STAGECAST_SOAK_SECONDS=$${STAGECAST_SOAK_SECONDS:-600} STAGECAST_FAULTS="$$records" \
		$(BIN)/python -m pytest tests -m fault $(ARGS) && \
	$(BIN)/python -m benchmarks._fault_page "$$records"

docs: .venv/.all-stamp ## check that the documentation is whole and that its examples run
	@$(BIN)/python -m pytest --doctest-glob='*.md' README.md CONTRIBUTING.md docs $(PACKAGES) \
		$(wildcard tests/test_documentation.py) $(ARGS)

system: ## install the Debian packages that a few tests need: Java, Redis, Chromium
	@missing=; \
	command -v java >/dev/null || missing="$$missing openjdk-17-jre-headless"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	if [ -n "$$missing" ]; then \
		as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		echo "Installing$$missing"; \
		$$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi

# hatchling and editables build stagecast, setuptools builds pyspark: they are locked too.
lock: .venv/.uv-stamp ## rewrite requirements.lock from pyproject.toml, keeping the pins that fit
	@printf '%s\n' hatchling editables setuptools | $(BIN)/uv pip compile --quiet --universal \
		--python-version 3.11 --all-extras --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		--output-file requirements.lock pyproject.toml - $(ARGS)

clean: ## remove what the other commands wrote, but for .venv
	@rm -rf demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(PACKAGES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps, so that a second `make` is instantaneous. pip fetches uv, by its hash, and uv the rest.
.venv/.uv-stamp: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Stagecast needs Python 3.11; $(PYTHON) is another: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[^ ]/ {wanted = /^uv==/} wanted' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install -qq --require-hashes --requirement .venv/uv.txt
	@touch $@

.venv/.core-stamp: .venv/.uv-stamp pyproject.toml
	@echo "Installing what stagecast needs into .venv (1.1 GB)"
	@$(INSTALL) $(LOCKED)
	@$(INSTALL) $(BUILT) --no-deps --editable .
	@touch $@

.venv/.all-stamp: .venv/.core-stamp
	@echo "Installing Spark, the console and the tests' tools into .venv (0.7 GB more)"
	@$(INSTALL) $(LOCKED) --all-extras
	@touch $@
