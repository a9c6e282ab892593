# Needs python3 (3.11 or newer), make and git; everything else lands in .tools and .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-runtime lock demo dev test check sim fuzz bench chaos clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
MEMBERS := libs/common libs/client libs/dev services/api services/scheduler services/executor services/projector
PROJECTS := $(MEMBERS:%=%/pyproject.toml)
UV := .tools/bin/uv
RUN := .venv/bin/python -m
OUT ?= bench.json
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
export UV_PYTHON_DOWNLOADS := never
# A user without a writable home still gets a cache.
export UV_CACHE_DIR ?= $(shell mkdir -p "$$HOME/.cache/uv" 2>/dev/null && test -w "$$HOME/.cache/uv" && echo "$$HOME/.cache/uv" || echo .tools/cache)

help:  ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.dev  ## Everything to work on Penstock, into .venv

setup-runtime: .venv/.runtime  ## What the stack needs to run, into .venv

demo: setup-runtime  ## From nothing to a finished workflow
	$(RUN) penstock.dev.demo

dev: setup-runtime  ## The stack, reloading on change
	.venv/bin/penstock up --reload

test: setup  ## All tiers of tests
	$(RUN) pytest $(PYTEST_ARGS)

check: setup  ## Lint, format, types, import contracts, architecture
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(RUN) pytest -q tests/architecture

sim: setup  ## Seeded lives of many runs
	$(RUN) tests.simulation.run

fuzz: setup  ## Ten thousand requests out of the OpenAPI document
	$(RUN) tests.fuzz.run

bench: setup  ## Throughput and latency, a table and OUT=bench.json
	$(RUN) tests.benchmarks.run --out $(OUT)

chaos: setup  ## The full kill test
	$(RUN) tests.chaos.run

clean:  ## Forget what setup made
	rm -rf .tools .venv

# --- setup ---------------------------------------------------------------------------------------

# Some distributions split ensurepip off: `venv` fails there, and pip alone fills the folder.
$(UV): requirements/tools.txt
	@test -n "$(PYTHON)" || { echo "Penstock needs python3, 3.11 or newer; name one with PYTHON=" >&2; exit 1; }
	@rm -rf .tools; "$(PYTHON)" -m venv .tools >/dev/null 2>&1 || rm -rf .tools
	@pip="$(PYTHON) -m pip"; target="--target .tools"; \
	test ! -x .tools/bin/pip || { pip=".tools/bin/python -m pip"; target=; }; \
	$$pip install -q --disable-pip-version-check --root-user-action=ignore --require-hashes $$target -r $< \
	|| { echo "uv could not be installed with: $$pip (python3 needs its venv or pip module)" >&2; exit 1; }
	@touch $@

.venv/.made: $(UV)
	@$(UV) venv -q --clear --python "$(PYTHON)" .venv
	@touch $@

# A sync removes our own packages, so the members are always installed after it.
define install
	@echo "Installing $(1) into .venv"
	@$(UV) pip sync -q --python .venv --compile-bytecode --require-hashes $(1)
	@$(UV) pip install -q --python .venv --compile-bytecode --no-deps --no-build-isolation $(MEMBERS:%=-e %)
	@touch $@
endef

RUNTIME := requirements/runtime.txt requirements/embedded.txt

.venv/.runtime: .venv/.made $(RUNTIME) $(PROJECTS)
	$(call install,$(RUNTIME))

.venv/.dev: .venv/.runtime requirements/dev.txt
	$(call install,$(RUNTIME) requirements/dev.txt)

# --- locks ---------------------------------------------------------------------------------------

# Only what is a week old, so that a bad release has been noticed by others first.
EXCLUDE_NEWER ?= $(shell "$(PYTHON)" -c 'import datetime as d; print((d.datetime.now(d.UTC) - d.timedelta(days=8)).date())')
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	--exclude-newer $(EXCLUDE_NEWER) $(LOCK_ARGS) $(foreach member,$(MEMBERS),--no-emit-package penstock-$(notdir $(member)))

lock: $(UV)  ## Resolve requirements/*.txt anew (LOCK_ARGS=--upgrade for newer versions)
	$(COMPILE) --group pyproject.toml:tools -o requirements/tools.txt
	$(COMPILE) --group pyproject.toml:build --all-extras $(MEMBERS:%=%/pyproject.toml) -o requirements/runtime.txt
	$(COMPILE) --group pyproject.toml:embedded -c requirements/runtime.txt -o requirements/embedded.txt
	$(COMPILE) --group pyproject.toml:dev -c requirements/runtime.txt -c requirements/embedded.txt -o requirements/dev.txt
