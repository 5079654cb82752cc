# capmat: `make demo` shows the whole chain, `make test` and `make chain` prove it. All set the project up first when needed.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
NERFSTUDIO := tasks/geometry/nerfstudio/nerfstudio
# The newest that was tried comes first; 3.11 is enough.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help setup demo test chain coverage torture nerfstudio postgres slurm check fix ui base docs settings sample lock lock-nerfstudio clean

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## the virtual environment in .venv, from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "capmat needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3"; exit 1; }
	@echo "setting up .venv with $(PYTHON) (about 6.5 GB, mostly torch; a minute or more)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import pymatting"  # numba compiles it once, which takes most of a minute
	@touch $@
	@echo "ready; \`source $(BIN)/activate\` puts capmat on the PATH of this shell"

demo: $(STAMP) ## the whole chain on the sample session, with a report at the end
	@$(BIN)/capmat demo

# In the order of the files: sorted by number of tests, the few long ones would all start at the end.
# One more than there are cores: tests of servers wait a lot.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $$(( $$(nproc) < 4 ? $$(nproc) + 1 : 4 )) --dist loadfile --no-loadscope-reorder

test: $(STAMP) ## every promise but those of whole nights
	@$(PYTEST)

chain: $(STAMP) ## whole nights at a tiny size: real Prefect servers, Dask clusters and S3, killed and resumed
	@$(PYTEST) -m chain

coverage: $(STAMP) ## both once more, and which lines none of them reaches
	@$(PYTEST) -m "not torture and not nerfstudio and not postgres and not slurm" --cov --cov-report=term:skip-covered

torture: $(STAMP) ## the store with writers killed, files spoiled and S3 failing, for minutes; see tests/torture
	@$(BIN)/python -m pytest -m torture tests/torture

nerfstudio: $(STAMP) ## the true Nerfstudio on the CPU, killed in the middle; needs its environment
	@$(BIN)/python -m pytest -m nerfstudio tests/nerfstudio

postgres: $(STAMP) ## a night of `capmat up` on a PostgreSQL of its own; needs the programs of its server
	@PATH="$$PATH:$$(echo /usr/lib/postgresql/*/bin | tr ' ' :)"; $(call needs,initdb pg_ctl psql,postgresql)
	@$(BIN)/python -m pytest -m postgres tests/services

slurm: $(STAMP) ## a night in a SLURM of this one machine; needs its programs and munge
	@PATH="$$PATH:/usr/sbin"; $(call needs,munged slurmctld slurmd sbatch,slurm-wlm munge)
	@$(BIN)/python -m pytest -m slurm tests/services

# $(call needs,PROGRAMS,PACKAGES): end in one line if a program is missing.
needs = for p in $(1); do command -v $$p >/dev/null || { \
	echo "make $@: $$p is missing; on Debian: apt-get install $(2)"; exit 1; }; done

check: $(STAMP) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: $(STAMP) ## let ruff mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

ui: $(STAMP) ## the Prefect UI on the demo's own database
	@$(BIN)/capmat ui

base: $(STAMP) ## train the small base weights again, from samples/base to tasks/models/weights/
	@$(BIN)/capmat train-base teacher
	@$(BIN)/capmat train-base student
	@$(BIN)/capmat --set supervisor.model=diffmatte_xs train-base supervisor

docs: $(STAMP) ## the pages of docs/ as a site with search, in build/docs; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

settings: $(STAMP) ## write docs/settings.md from the texts in tasks/config.py
	@$(BIN)/python -m tasks.runtime.settings > docs/settings.md

sample: $(STAMP) ## render the sample session again, into samples/
	@$(BIN)/capmat sim --out samples

lock: ## resolve pyproject.toml into requirements.lock (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --extra dev --extra sim --extra slurm pyproject.toml -o requirements.lock

lock-nerfstudio: ## resolve nerfstudio.in into nerfstudio.lock, for Python 3.11 on Linux (needs uv)
	@uv pip compile --quiet --python-version 3.11.5 --python-platform x86_64-manylinux_2_35 --generate-hashes \
		--no-emit-index-url --no-emit-find-links $(NERFSTUDIO).in -o $(NERFSTUDIO).lock

clean: ## forget the demo's store and Prefect database (keeps .venv)
	@rm -rf .capmat
