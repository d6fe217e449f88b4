# Everything runs in a virtual environment that make creates: only Python 3.11+, git and make
# have to be there.

PYTHON ?= python3
VENV := .venv
CLIENTS := .venv-clients
FAULTS ?= tests/faults
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test e2e clients faults check race compose-test k8s-test clean

demo: $(VENV)/.local
	$(BIN)/platform-events demo

# Dozens of brokers start in the tests, each in half the time with Java's cache.
test e2e clients faults: export JDK_JAVA_OPTIONS := -XX:AOTCache="$(CURDIR)/$(VENV)/java.cache" -Xlog:disable

test: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j 2 $(VENV)/java.cache $(VENV)/.compiled
	$(BIN)/pytest -n 8 --dist worksteal -m "not end_to_end"

e2e: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j 2 $(VENV)/java.cache $(VENV)/.compiled
	$(BIN)/pytest -n 8 --dist worksteal -m end_to_end

# Clients of the Pub/Sub API that others wrote.
clients: $(VENV)/java.cache $(CLIENTS)/.installed
	$(BIN)/pytest tests/clients

faults: $(VENV)/java.cache
	$(BIN)/pytest $(FAULTS)

check: $(VENV)/.dev $(VENV)/.manifests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/deployment/test_kubernetes_schemas.py

# Both say what they need and skip where there is no engine, no cluster.
compose-test: $(VENV)/.dev
	$(BIN)/python -m tests.deployment.compose

k8s-test: $(VENV)/.dev
	$(BIN)/python -m tests.deployment.kubernetes

race: $(VENV)/.race
	$(BIN)/python -m benchmarks.race

clean:
	rm -rf $(VENV) $(CLIENTS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or later is needed; name it with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Not in $(VENV): their messages have the names of ours.
$(CLIENTS)/.installed: tests/clients/requirements.txt constraints.txt | $(BIN)/python
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet --requirement tests/clients/requirements.txt
	@touch $@

$(VENV)/.local: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --editable '.[local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

# 108 MB of schemas.
$(VENV)/.manifests: $(VENV)/.dev
	$(BIN)/pip install --quiet --editable '.[manifests]'
	@touch $@

$(VENV)/java.cache: $(VENV)/.dev tools/java_cache.py
	-$(BIN)/python -m tools.java_cache $@

# What is imported is compiled here, once, and not by each of the eight that test.
$(VENV)/.compiled: $(VENV)/.dev
	$(BIN)/pytest --collect-only --quiet > $@.log
	@touch $@

$(VENV)/.race: $(VENV)/.dev benchmarks/requirements.txt
	PIP_CONSTRAINT= $(BIN)/pip install --quiet --requirement benchmarks/requirements.txt
	@touch $@
