# The one runner. `make` lists what it can do.
PYTHON ?= python3
BIN := .venv/bin
HERD := $(BIN)/python -m herd
INVENTORY ?= inventory.py
# LIMIT=HOST chooses hosts, a pattern or a group; ARGS passes further options on. What a person
# types goes through the environment, where the shell does not read it again.
export LIMIT MODEL NAME PROMPT REPO INCLUDE MEMORY MACOS BASE
ON := $(if $(LIMIT),--limit "$$LIMIT")

.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# -- Environment: a stamp per lock, so it is remade exactly when its lock changes.
.venv/.deploy: requirements.lock
	@echo "--> Setting up .venv (pyinfra and what a deploy needs)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/.verify: requirements-verify.lock .venv/.deploy
	@echo "--> Adding pytest and testinfra to .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-verify.lock
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.deploy
	@echo "--> Adding the simulated Mac and the tests to .venv (about half a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: .venv/.deploy  ## what a deploy needs, in .venv
dev: .venv/.dev  ## setup, and what the lab and the tests need

# -- Without a Mac
demo: .venv/.dev  ## deploy to a simulated Mac, chat with it, and stop it
	@$(BIN)/python -m lab.demo

MACS ?= 1
lab: .venv/.dev  ## leave MACS=N simulated Macs running; `make lab-down` stops them
	@$(BIN)/python -m lab up --macs $(MACS) $(ARGS)

lab-down:  ## stop the simulated Macs
	@$(BIN)/python -m lab down $(ARGS)

# -- Deploy
key: .venv/.deploy  ## make an API key: NAME=me ARGS='--expires 90d'
	@$(HERD) key --inventory $(INVENTORY) $(ARGS) $(if $(NAME),"$$NAME",$(error say whose key it is: make key NAME=me))

lock: .venv/.deploy  ## pin every model in models.lock, or one: MODEL=name
	@$(HERD) lock --inventory $(INVENTORY) $(ARGS) $(if $(MODEL),-- "$$MODEL")

plan: .venv/.deploy  ## what a deploy would change
	@$(BIN)/pyinfra --dry $(ON) $(ARGS) $(INVENTORY) deploy.py

deploy: .venv/.deploy  ## deploy without asking
	@$(BIN)/pyinfra -y $(ON) $(ARGS) $(INVENTORY) deploy.py

upgrade: .venv/.deploy  ## deploy, and upgrade the Homebrew packages
	@$(BIN)/pyinfra -y --data homebrew_upgrade=true $(ON) $(ARGS) $(INVENTORY) deploy.py

# -- Between deploys
status start stop restart dashboard unload logs usage: .venv/.deploy
	@$(HERD) $@ --inventory $(INVENTORY) $(ON) $(ARGS)

chat: .venv/.deploy  ## a chat completion from each host: PROMPT='Hello'
	@$(HERD) chat --inventory $(INVENTORY) $(ON) $(ARGS) $(if $(PROMPT),"$$PROMPT")

verify: .venv/.verify  ## check each Mac from outside against what was declared
	@$(BIN)/python -m pytest tests/infra --inventory $(INVENTORY) $(ON) $(ARGS)

run: .venv/.deploy  ## the stack of one Mac in this terminal; Ctrl+C stops it
	@$(HERD) run --inventory $(INVENTORY) $(ON)

verify-models: .venv/.deploy  ## hash every model's files again, and mend what is wrong
	@$(HERD) verify-models --inventory $(INVENTORY) $(ON)

fetch: .venv/.deploy  ## a model's files, undeclared: REPO=owner/name INCLUDE='*Q4*'
	@$(HERD) fetch --inventory $(INVENTORY) $(ON) $(ARGS) $(if $(INCLUDE),--include "$$INCLUDE") $(if $(REPO),"$$REPO",$(error say which: make fetch REPO=owner/name))

fit: .venv/.deploy  ## what the models take of each Mac, or of any: MEMORY=96 MACOS=26
	@$(HERD) fit --inventory $(INVENTORY) $(ON) $(ARGS) $(if $(MEMORY),--memory "$$MEMORY") $(if $(MACOS),--macos "$$MACOS")

# -- Before a deploy; none of these but `facts` connects to anything.
render: .venv/.deploy  ## every file that a deploy would write, in build/rendered
	@$(HERD) render --inventory $(INVENTORY) $(ARGS)

render-diff: .venv/.deploy  ## what a deploy would write otherwise than at BASE=main
	@$(HERD) render-diff --inventory $(INVENTORY) $(ARGS) $(if $(BASE),-- "$$BASE")

check-configs: .venv/.deploy  ## settings, rendered files, keys and scripts: ARGS='--sarif FILE'
	@$(HERD) check-configs --inventory $(INVENTORY) $(ARGS)

facts: .venv/.deploy  ## ask the Macs what renderings need to know, and keep it in facts.lock
	@$(HERD) facts --inventory $(INVENTORY) $(ON) $(ARGS)

status:    ## services, loaded models, versions
start:     ## start the services now, without a new login
stop:      ## stop them until the next start, login or deploy
restart:   ## stop and start them
dashboard: ## llama-swap's own pages, through a tunnel
unload:    ## unload every model from memory: ARGS=MODEL for one
logs:      ## the last lines of the logs: ARGS=-f follows
usage:     ## requests and tokens per day, key and model: ARGS='--since 7d'

# -- Development
test: .venv/.dev  ## every test but the long matrices
	@$(BIN)/python -m pytest -m "not soak" --numprocesses 2 --dist loadscope $(ARGS)

soak: .venv/.dev  ## the long matrices
	@$(BIN)/python -m pytest -m soak --numprocesses 2 --dist loadscope $(ARGS)

check: .venv/.dev  ## lint and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: .venv/.deploy  ## docs/settings.md, out of the settings
	@$(BIN)/python -m docs.settings

bench: .venv/.dev  ## the figures: a run that changes nothing, the proxy beside nginx and Node, renderings
	@$(BIN)/python bench/noop.py
	@$(BIN)/python bench/proxy.py
	@$(BIN)/python bench/render.py

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make locks"
locks: .venv/.dev  ## update every locked dependency; `make lock` is for models
	@$(LOCK) pyproject.toml -o requirements.lock
	@$(LOCK) --extra verify pyproject.toml -o requirements-verify.lock
	@$(LOCK) --extra dev --extra verify pyproject.toml -o requirements-dev.lock
	@$(LOCK) proxy/requirements.in -o proxy/requirements.lock

.PHONY: help setup dev demo lab lab-down key lock plan deploy upgrade verify status start stop restart dashboard unload logs usage chat run fetch verify-models fit render render-diff check-configs facts test soak check docs bench locks
