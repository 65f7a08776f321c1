# A machine needs Python 3.11 or newer and make; everything else is installed into .venv by the first target you run.
# Works without a terminal, as root or not. Variables: PYTHON, MONTHS, TESTS, VS_HOME.

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && { echo $$python; break; }; done)
MONTHS ?= 2024-04..2024-06
TESTS ?= tests
VENV := .venv
READY := $(VENV)/installed-from-lock
# Superset has an environment of its own: it needs a SQLAlchemy that Airflow refuses, and no Python above 3.12
BI_VENV := .venv-bi
BI_READY := $(BI_VENV)/installed-from-lock
BI_PYTHON ?= $(shell for python in $(PYTHON) python3.11 python3.12; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' >/dev/null 2>&1 && { echo $$python; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo bi test test-bi test-long test-chaos test-scale-out bench bench-ingest bench-matching bench-month \
	bench-scale bench-months bench-lineage lint lock clean

help: ## show this list
	@echo "make <target>, and then the vs command in $(VENV)/bin (try: $(VENV)/bin/vs --help)"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | awk '{ name = $$1; $$1 = ""; printf "  %-7s%s\n", name, $$0 }'

setup: $(READY) ## install everything into .venv, nothing else (no-op when the lock is unchanged)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found; say where one is: make setup PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing into $(VENV) with $(PYTHON)"
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); } || \
		{ echo "This Python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@$(VENV)/bin/python include/local/install.py requirements.lock
	@touch $@

demo: setup ## three months of a synthetic municipality through the whole platform (MONTHS=2024-04..2024-06)
	@$(VENV)/bin/vs demo --months $(MONTHS)

bi: setup $(BI_READY) ## the dashboards, in Superset: installed, imported and started (the platform must be up)
	@$(VENV)/bin/vs bi up

$(BI_READY): bi/requirements.lock | $(READY)
	@test -n "$(BI_PYTHON)" || { echo "Superset needs Python 3.11 or 3.12; say where one is: make bi BI_PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Installing Superset into $(BI_VENV) with $(BI_PYTHON)"
	@rm -rf $(BI_VENV) && $(BI_PYTHON) -m venv $(BI_VENV)
	@$(VENV)/bin/python include/local/install.py bi/requirements.lock $(BI_VENV)
	@touch $@

test: setup ## every test, on real PostgreSQL and real Airflow (TESTS=tests/unit for a part)
	@$(VENV)/bin/python -m pytest $(TESTS) -n 2 --dist loadfile --no-loadscope-reorder -ra --durations=10

test-bi: setup $(BI_READY) ## the dashboards in a real browser: login, filters, numbers, roles (needs Chromium: apt install chromium)
	@$(VENV)/bin/python -m pytest tests -m bi -ra --durations=5

test-long: setup ## five thousand spoiled deliveries instead of five hundred (VS_FUZZ_SEED=… repeats a run)
	@$(VENV)/bin/python -m pytest tests -m long -ra -s

test-chaos: setup ## what a month survives: kills, power cuts, full disks, lost folders, two runs at once (VS_CHAOS_SEED=…)
	@$(VENV)/bin/python -m pytest tests/chaos -m chaos -s -ra

test-scale-out: setup $(BI_READY) ## months through Celery, SFTP, S3 and a PostgreSQL elsewhere; every compose service as a process
	@$(VENV)/bin/python -m pytest tests/scale_out -m scale_out -ra -s

bench-ingest: setup ## how fast and in how little memory large deliveries are taken in, beside pandas and a bare COPY
	@$(VENV)/bin/python -W ignore -m bench.ingest

bench-matching: setup ## how right and how fast persons are matched, beside exact matching and Splink (BENCH="--only quality")
	@$(VENV)/bin/python -W ignore -m bench.matching $(BENCH)

bench: setup ## what a month costs, in one run: Airflow beside one process, a million signals beside bare SQL, month 60 beside 2
	@$(VENV)/bin/python -W ignore -m bench.month
	@$(VENV)/bin/python -W ignore -m bench.scale

bench-month: setup ## what Airflow costs a month, beside the same month in one process and one dbt task a model (BENCH="--turns 1")
	@$(VENV)/bin/python -W ignore -m bench.month $(BENCH)

bench-scale: setup ## a month of a million signals beside bare SQL, and month 60 beside month 2 (BENCH="--signals 100000")
	@$(VENV)/bin/python -W ignore -m bench.scale $(BENCH)

bench-months: setup ## two years of closing with a RIS that is late, corrects itself and rejects (half an hour)
	@$(VENV)/bin/python -m pytest tests/integration/test_closing_over_months.py -m long -s -ra

bench-lineage: setup ## what OpenLineage events cost a task by Airflow's provider, and a dbt stage by ours
	@$(VENV)/bin/python -W ignore -m bench.lineage

lint: setup ## style, imports, types' obvious mistakes
	@$(VENV)/bin/ruff check .

lock: setup ## compile requirements.in to requirements.lock (hashes, every supported Python, no registry addresses)
	@$(VENV)/bin/uv pip compile requirements.in -o requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-header --quiet
	@$(VENV)/bin/uv pip compile bi/requirements.in -o bi/requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-header --quiet

clean: ## stop the platform and delete it with all its data (VS_HOME); .venv stays
	@if [ -x $(VENV)/bin/vs ]; then $(VENV)/bin/vs down && rm -rf "$${VS_HOME:-.vs}"; fi
	@rm -rf build dbt_project/target dbt_project/logs .pytest_cache .ruff_cache .mypy_cache .hypothesis
