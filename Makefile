# The one runner. `make help` lists what it can do.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup dev locks check test

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

# A stamp per lock: an environment is remade exactly when its lock changes.
.venv/.deploy: requirements.lock
	@echo "--> Setting up .venv (pyinfra and what a deploy needs)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.deploy
	@echo "--> Adding the simulated Mac and the tests to .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: .venv/.deploy  ## what a deploy needs, in .venv
dev: .venv/.dev  ## setup, and what the lab and the tests need

test: .venv/.dev  ## every test but the long matrices
	@$(BIN)/python -m pytest -m "not soak"

check: .venv/.dev  ## lint and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

locks: .venv/.dev  ## update every locked dependency
	@$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make locks" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make locks" --extra dev pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make locks" proxy/requirements.in -o proxy/requirements.lock
