# The one runner. `make` lists what it can do.
PYTHON ?= python3
INVENTORY ?= inventory.py
MACS ?= 1
override BIN := .venv/bin
override HERD := $(BIN)/python -m herd
# What a person types is text. Make would read `$` in it as its own wherever a value is used, or
# handed on, so each value is first taken as it is; then it goes through the environment, where no
# shell reads it again. LIMIT=HOST chooses hosts, a pattern or a group.
override TYPED := PYTHON DIR INVENTORY MACS LIMIT MODEL NAME PROMPT REPO INCLUDE MEMORY MACOS BASE ARGS
# A name that nobody reads would be as if it were not there, and LIMT=HOST every Mac.
override UNKNOWN := $(strip $(foreach 1,$(.VARIABLES),$(if $(filter command,$(origin $(1))),$(filter-out $(TYPED),$(1)))))
$(if $(UNKNOWN),$(error nothing here reads $(UNKNOWN); there are $(TYPED)))
override LITERAL = $(eval override $(1) := $$(value $(1)))
# The loops' own name is one that make hands on to nobody.
$(foreach 1,$(TYPED),$(if $(filter command environment,$(firstword $(origin $(1)))),$(LITERAL)))
export $(TYPED)
override ON = $(if $(LIMIT),--limit="$$LIMIT")
# These would pass over it.
override WHOLE := init key lock pin pull render render-diff check-configs
$(if $(LIMIT),$(foreach 1,$(filter $(WHOLE),$(MAKECMDGOALS)),$(error make $(1) does not choose hosts; it takes no LIMIT)))
# ARGS passes further options on: its words, parted as in a shell, take the place of {}.
override WORDS := $(BIN)/python -m herd.make_arguments

.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

# -- Environment: a stamp per lock, so it is remade exactly when its lock changes.
override PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
override LOCKED := --only-binary :all: --require-hashes

.venv/.deploy: requirements.lock
	@echo "--> Setting up .venv (pyinfra and what a deploy needs)"
	@test -x $(BIN)/python || "$$PYTHON" -m venv .venv
	@$(PIP) install $(LOCKED) -r requirements.lock
	@touch $@

.venv/.verify: requirements-verify.lock .venv/.deploy
	@echo "--> Adding pytest and testinfra to .venv"
	@$(PIP) install $(LOCKED) -r requirements-verify.lock
	@touch $@

# All of the others' and a hundred packages more: by uv, which needs a third of pip's time; by pip
# where uv does not reach pip's index.
.venv/.dev: requirements-dev.lock requirements-verify.lock requirements.lock
	@echo "--> Setting up .venv with the simulated Mac and the tests (about half a minute)"
	@test -x $(BIN)/python || "$$PYTHON" -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' $< >.venv/uv.lock
	@$(PIP) install $(LOCKED) -r .venv/uv.lock
	@UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(PIP) config get global.index-url 2>/dev/null)}}" \
	UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(LOCKED) -r $< || \
	$(PIP) install $(LOCKED) -r $<
	@touch .venv/.deploy .venv/.verify $@

setup: .venv/.deploy  ## what a deploy needs, in .venv
dev: .venv/.dev  ## setup, and what the lab and the tests need

# -- Without a Mac
demo: .venv/.dev  ## deploy to a simulated Mac, chat with it, and stop it
	@$(BIN)/python -m lab.demo

lab: .venv/.dev  ## leave MACS=N simulated Macs running; `make lab-down` stops them
	@$(WORDS) $(BIN)/python -m lab up --macs="$$MACS" {}

lab-down:  ## stop the simulated Macs
	@$(WORDS) $(BIN)/python -m lab down {}

# -- A herd in a repository of its own; every target below works on it by INVENTORY.
init: .venv/.deploy  ## write a repository for a herd of your own: DIR=../fleet
	@$(WORDS) $(HERD) init {} $(if $(DIR),-- "$$DIR",$(error say where: make init DIR=../fleet))

# -- Deploy
key: .venv/.deploy  ## make an API key: NAME=me ARGS='--expires 90d'
	@$(WORDS) $(HERD) key --inventory="$$INVENTORY" {} $(if $(NAME),-- "$$NAME",$(error say whose key it is: make key NAME=me))

lock: .venv/.deploy  ## pin every model in models.lock, or one: MODEL=name
	@$(WORDS) $(HERD) lock --inventory="$$INVENTORY" {} $(if $(MODEL),-- "$$MODEL")

plan: .venv/.deploy  ## what a deploy would change
	@$(WORDS) $(BIN)/pyinfra --dry $(ON) {} -- "$$INVENTORY" deploy.py

deploy: .venv/.deploy  ## deploy without asking
	@$(WORDS) $(BIN)/pyinfra -y $(ON) {} -- "$$INVENTORY" deploy.py

roll upgrade rollback: .venv/.deploy
	@$(WORDS) $(HERD) $@ --inventory="$$INVENTORY" $(ON) {}

pin: .venv/.deploy  ## an exact release to declare: ARGS='llama.cpp b10686'
	@$(WORDS) $(HERD) pin --inventory="$$INVENTORY" {}

roll:      ## deploy from Mac to Mac, while the others serve: ARGS='--parallel 2'
upgrade:   ## the same, and upgrade packages
rollback:  ## the same of the pinned releases before

uninstall: .venv/.deploy  ## take it off the Macs; asks first: ARGS='--models --packages'
	@$(WORDS) $(HERD) uninstall --inventory="$$INVENTORY" $(ON) {}

pull: .venv/.deploy  ## on a Mac of the inventory: update the repository, deploy to itself: ARGS='--every 60'
	@$(WORDS) $(HERD) pull --inventory="$$INVENTORY" {}

# -- Between deploys
status top doctor start stop restart dashboard load unload logs usage bench: .venv/.deploy
	@$(WORDS) $(HERD) $@ --inventory="$$INVENTORY" $(ON) {}

chat: .venv/.deploy  ## a chat completion from each host: PROMPT='Hello'
	@$(WORDS) $(HERD) chat --inventory="$$INVENTORY" $(ON) {} $(if $(PROMPT),-- "$$PROMPT")

verify: .venv/.verify  ## check each Mac from outside against what was declared
	@$(WORDS) $(BIN)/python -m pytest tests/infra --inventory="$$INVENTORY" $(ON) {}

run: .venv/.deploy  ## the stack of one Mac in this terminal; Ctrl+C stops it
	@$(WORDS) $(HERD) run --inventory="$$INVENTORY" $(ON) {}

sudoers: .venv/.deploy  ## the rule by which a deploy may do as root what only root may
	@$(WORDS) $(HERD) sudoers --inventory="$$INVENTORY" $(ON) {}

verify-models: .venv/.deploy  ## hash every model's files again, and mend what is wrong
	@$(WORDS) $(HERD) verify-models --inventory="$$INVENTORY" $(ON) {}

fetch: .venv/.deploy  ## a model's files, undeclared: REPO=owner/name INCLUDE='*Q4*'
	@$(WORDS) $(HERD) fetch --inventory="$$INVENTORY" $(ON) {} $(if $(INCLUDE),--include="$$INCLUDE") $(if $(REPO),-- "$$REPO",$(error say which: make fetch REPO=owner/name))

fit: .venv/.deploy  ## what the models take of each Mac, or of any: MEMORY=96 MACOS=26
	@$(WORDS) $(HERD) fit --inventory="$$INVENTORY" $(ON) {} $(if $(MEMORY),--memory="$$MEMORY") $(if $(MACOS),--macos="$$MACOS")

# -- Before a deploy; none of these but `facts` connects to anything.
render: .venv/.deploy  ## every file that a deploy would write, in build/rendered
	@$(WORDS) $(HERD) render --inventory="$$INVENTORY" {}

render-diff: .venv/.deploy  ## what a deploy would write otherwise than at BASE=main
	@$(WORDS) $(HERD) render-diff --inventory="$$INVENTORY" {} $(if $(BASE),-- "$$BASE")

check-configs: .venv/.deploy  ## settings, rendered files, keys and scripts: ARGS='--sarif FILE'
	@$(WORDS) $(HERD) check-configs --inventory="$$INVENTORY" {}

facts: .venv/.deploy  ## ask the Macs what renderings need to know, and keep it in facts.lock
	@$(WORDS) $(HERD) facts --inventory="$$INVENTORY" $(ON) {}

status:    ## services, models, versions, health, drift: ARGS=--json for programs
top:       ## the whole herd, live; ARGS=--once, or --json for programs
doctor:    ## what is wrong, or soon will be, and what to do: ARGS=--fix does what is safe
start:     ## start the services now, without a new login; one: ARGS=proxy
stop:      ## stop them until the next start, login or deploy; one: ARGS=proxy
restart:   ## stop and start them
dashboard: ## llama-swap's own pages, behind the proxy's login
bench:     ## how fast each Mac reads and writes, beside the last time: ARGS='--model NAME'
load:      ## load a model into memory: ARGS=MODEL
unload:    ## unload every model from memory: ARGS=MODEL for one
logs:      ## the last lines of the logs: ARGS=-f follows
usage:     ## requests and tokens per day, key and model: ARGS='--since 7d'

# -- Development
test: .venv/.dev  ## every test but the long matrices
	@$(WORDS) $(BIN)/python -m pytest -m "not soak" --numprocesses auto --dist loadscope --no-loadscope-reorder {}

soak: .venv/.dev  ## the long matrices
	@$(WORDS) $(BIN)/python -m pytest -m soak --numprocesses auto --dist loadscope --no-loadscope-reorder {}

check: .venv/.dev  ## lint and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: .venv/.deploy  ## docs/settings.md, out of the settings
	@$(BIN)/python -m docs.write_settings

figures: .venv/.dev  ## what is measured here: a run that changes nothing, the proxy beside nginx and Node, renderings
	@$(BIN)/python bench/noop.py
	@$(BIN)/python bench/proxy.py
	@$(BIN)/python bench/lateness.py
	@$(BIN)/python bench/gateway.py
	@$(BIN)/python bench/prompt_cache.py
	@$(BIN)/python bench/failover.py
	@$(BIN)/python bench/render.py

override LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make locks"
locks: .venv/.dev  ## update every locked dependency; `make lock` is for models
	@$(LOCK) pyproject.toml -o requirements.lock
	@$(LOCK) --extra verify pyproject.toml -o requirements-verify.lock
	@$(LOCK) --extra dev --extra verify pyproject.toml -o requirements-dev.lock
	@$(LOCK) proxy/requirements.in -o proxy/requirements.lock
	@$(LOCK) tests/clients/libraries.in -o tests/clients/libraries.lock
	@$(LOCK) tests/clients/aider.in -o tests/clients/aider.lock
	@npm --prefix tests/clients install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error

.PHONY: help setup dev demo lab lab-down init key lock plan deploy roll upgrade rollback pin uninstall verify status top start stop restart dashboard load unload logs usage doctor chat run sudoers fetch verify-models fit render render-diff check-configs facts test soak check docs bench figures locks
