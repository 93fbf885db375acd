# Needs Python 3.11 or newer with venv, and make. Paths are relative, so that any folder will do.
# Names given on the command line reach the programs as environment variables: make up PORT=9000 NODES=2 DETACH=1

PYTHON ?= python3
OLLAMAMAX_VENV ?= .venv
RUN = "$(OLLAMAMAX_VENV)/bin/python"

# One sentence when Python is missing or too old; install.py itself could not even be read by a very old one.
PREPARE = @command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "OllamaMax needs Python 3.11 or newer and there is no $(PYTHON): install it, or name one, as in: make $@ PYTHON=python3.12" >&2; exit 1; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "OllamaMax needs Python 3.11 or newer and $(PYTHON) is older: install a newer one and name it, as in: make $@ PYTHON=python3.12" >&2; exit 1; }; \
	"$(PYTHON)" ollamamax/embedded/install.py

.PHONY: help up down status test clients mutants crashes lint format docs bench chaos pages pictures reset lock
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

up: ## start everything on this machine (PORT, HOST, OLLAMAMAX_HOME, NODES=n, DETACH=1)
	$(PREPARE) up && exec $(RUN) -m ollamamax.embedded up

down: ## stop it
	$(PREPARE) up && exec $(RUN) -m ollamamax.embedded down

status: ## say what runs
	$(PREPARE) up && exec $(RUN) -m ollamamax.embedded status

reset: ## stop it and delete its data; asks first (YES=1 answers)
	$(PREPARE) up && exec $(RUN) -m ollamamax.embedded reset

test: ## all tests, on a real PostgreSQL and Valkey, with coverage (ARGS="-k word" passes on)
	$(PREPARE) test && $(RUN) ollamamax/embedded/install.py npm run test && PYTHONDONTWRITEBYTECODE= exec $(RUN) -m pytest -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

clients: ## tests with clients that others made, in environments of their own (WITH=open-webui: that too, 7 GB)
	$(PREPARE) clients $(WITH) && exec $(RUN) -m pytest tests/clients $(ARGS)

mutants: ## change the code in many small ways and count which changes no test notices (ARGS="cluster.scheduling.prompt*", MINUTES=60)
	$(PREPARE) test && exec $(RUN) .ci/mutants.py $(ARGS)

crashes: ## kill the registry at every step of what it does, and look whether it is whole (KILL_AT_EACH=1)
	$(PREPARE) test && KILL_AT_EACH=$${KILL_AT_EACH:-1} exec $(RUN) -m pytest tests/distribution/test_killed_anywhere.py $(ARGS)

lint: ## format, rules, types, layers, settings, migrations, breaks of the API, console
	$(PREPARE) test
	$(RUN) -m ruff format --check --quiet .
	$(RUN) -m ruff check --quiet .
	$(RUN) -m mypy
	"$(OLLAMAMAX_VENV)/bin/lint-imports"
	$(RUN) .ci/check_django.py
	$(RUN) .ci/api_breaks.py
	@if [ -f frontend/package.json ]; then $(RUN) ollamamax/embedded/install.py npm run lint && $(RUN) ollamamax/embedded/install.py npm run format:check && $(RUN) ollamamax/embedded/install.py npm run typecheck; fi

format: ## rewrite the code in the project's format
	$(PREPARE) test
	$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format --quiet .

docs: ## the documentation as a site, in site/
	$(PREPARE) test && exec $(RUN) .ci/site.py

bench: ## measure it; writes nothing but its report
	$(PREPARE) test && exec $(RUN) -m benchmarks $(ARGS)

chaos: ## kill, freeze, cut and fill everything in turn, beside phases without that; writes docs/chaos.md (up to 25 minutes)
	$(PREPARE) test && exec $(RUN) -m benchmarks chaos $(ARGS)

pictures: ## photograph every page of the console for docs/console, which takes some minutes
	$(PREPARE) test && exec $(RUN) -m tests.browser.pictures

pages: ## look at every page of the console, empty and full, from 390 to 2560 pixels; pictures go to .console-pages
	$(PREPARE) test && mkdir -p .console-pages && OMX_PICTURES=.console-pages exec $(RUN) -m tests.browser.pictures

COMPILE = $(RUN) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

lock: ## write the locked requirements of every role anew, from pyproject.toml and the .in files
	$(PREPARE) test
	$(COMPILE) pyproject.toml --extra local -o requirements.txt
	for role in server node llamacpp; do \
		$(COMPILE) pyproject.toml --extra $$role $$(test $$role = llamacpp && echo --extra node) $$(test $$role = server && echo --extra tracing) -c requirements.txt -o requirements-$$role.txt || exit 1; \
	done
	for name in dev build javascript; do $(COMPILE) requirements-$$name.in -o requirements-$$name.txt || exit 1; done
	$(COMPILE) --no-deps requirements-model.in -o requirements-model.txt
	$(RUN) .ci/sbom.py
