# Everything a newcomer needs: `make run`, `make test`. Each makes its own environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ORACLES   := $(VENV)/.oracles
NATIVE := $(wildcard src/native/*.cpp src/native/*.hpp src/native/*/*.cpp src/native/*/*.hpp src/native/CMakeLists.txt CMakeLists.txt)

MODEL  ?= smollm2-135m-instruct
OUTPUT ?= build/models/$(MODEL)
PROMPT ?= Why is the sky blue? Answer in two sentences.

.PHONY: run test test-oracles lint format clean

run: $(INSTALLED)
	@test -f $(OUTPUT)/graph.json || $(BIN)/sangbo convert $(MODEL) -o $(OUTPUT)
	@$(BIN)/sangbo run $(OUTPUT) --prompt "$(PROMPT)"

test: $(INSTALLED) lint
	$(BIN)/python -m pytest -m "not oracle"

test-oracles: $(ORACLES)
	$(BIN)/python -m pytest -m oracle

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(INSTALLED): $(VENV)/bin/python pyproject.toml $(NATIVE)
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint
	@touch $@

$(ORACLES): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group oracles
	@touch $@

clean:
	rm -rf $(VENV) build
