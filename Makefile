# Everything a newcomer needs: `make run`, `make test`. Each makes its own environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ORACLES   := $(VENV)/.oracles
NATIVE := $(wildcard src/native/*/*.inl src/native/*/*/*.inl src/native/*.cpp src/native/*.hpp src/native/*/*.cpp src/native/*/*.hpp src/native/CMakeLists.txt CMakeLists.txt)

CPP = $(wildcard src/native/*.[ch]pp src/native/*/*.[ch]pp src/native/*/*.inl src/native/*/*/*.inl tests/native/*.[ch]pp benchmarks/native/*.cpp)

MODEL  ?= smollm2-135m-instruct
OUTPUT ?= build/models/$(MODEL)
PROMPT ?= Why is the sky blue? Answer in two sentences.

BENCH  := .venv-benchmarks
SIMULATORS := .venv-simulators
LAVA := .venv-lava
SPIKES := .venv-spikingjelly

.PHONY: run test test-oracles benchmark-language-model benchmark-spikingjelly benchmark-dynamics \
  benchmark-cables figure-cables figure-dynamics record-cables record-lava record-simulators test-native test-sanitizers lint format clean

run: $(INSTALLED)
	@test -f $(OUTPUT)/graph.json || $(BIN)/sangbo convert $(MODEL) -o $(OUTPUT)
	@$(BIN)/sangbo run $(OUTPUT) --prompt "$(PROMPT)"

test: $(INSTALLED) lint
	$(BIN)/python -m pytest -m "not oracle"

test-oracles: $(ORACLES)
	$(BIN)/python -m pytest -m oracle

# The native core's own tests, and the same under sanitizers. They need a compiler and no Python.
test-native: NATIVE_TESTS = plain:
test-sanitizers: NATIVE_TESTS = address:address,undefined thread:thread
test-native test-sanitizers:
	@set -e; for kind in $(NATIVE_TESTS); do \
	  folder=build/native-$${kind%%:*}; \
	  cmake -S . -B $$folder -DCMAKE_BUILD_TYPE=$(if $(findstring plain,$(NATIVE_TESTS)),Release,None) -DSANGBO_TESTS=ON \
	    -DSANGBO_SANITIZE=$${kind#*:} >/dev/null; \
	  cmake --build $$folder --parallel 2; \
	  ctest --test-dir $$folder --output-on-failure; \
	done

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(INSTALLED): $(VENV)/bin/python pyproject.toml $(NATIVE)
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint
	@touch $@

$(ORACLES): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group oracles
	@touch $@

# Builds llama.cpp from source: ten minutes the first time.
benchmark-language-model: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/language_model.py

$(BENCH)/.installed: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install --quiet . --group benchmarks
	@touch $@

# NEST, Brian2 and NEURON, in an environment of their own.
benchmark-dynamics: $(SIMULATORS)/.installed
	$(SIMULATORS)/bin/python benchmarks/dynamics.py

benchmark-cables: $(SIMULATORS)/.installed
	$(SIMULATORS)/bin/python benchmarks/cables.py

# How errors of cables fall with compartments and steps, as a picture.
figure-cables: $(INSTALLED)
	$(BIN)/python benchmarks/cables_convergence.py docs/cables-convergence.png

# Cost by synaptic events, as a picture.
figure-dynamics: $(INSTALLED)
	$(BIN)/python benchmarks/dynamics_cost.py docs/dynamics-cost.png

record-simulators: $(SIMULATORS)/.installed
	$(SIMULATORS)/bin/python tests/dynamics/simulators/record.py tests/dynamics/simulators/recorded.json
	$(SIMULATORS)/bin/python tests/dynamics/simulators/brunel.py tests/dynamics/simulators/brunel.json

# NEURON's cells of many compartments; one of them is in the data package `neuron`.
record-cables: $(SIMULATORS)/.installed
	$(SIMULATORS)/bin/python tests/dynamics/simulators/cables.py tests/dynamics/simulators/cables.json

# Lava steps Loihi's neurons; it wants Python 3.10.
record-lava:
	python3.10 -m venv $(LAVA)
	$(LAVA)/bin/python -m pip install --quiet lava-nc==0.10.0
	$(LAVA)/bin/python tests/dynamics/simulators/loihi.py tests/dynamics/simulators/loihi.json

$(SIMULATORS)/.installed: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(SIMULATORS)
	$(SIMULATORS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(SIMULATORS)/bin/python -m pip install --quiet . --group simulators
	@touch $@

# The same small transformer converted by SpikingJelly and by us; trains it first (minutes).
benchmark-spikingjelly: $(SPIKES)/.installed
	$(SPIKES)/bin/python benchmarks/converted_transformer.py

$(SPIKES)/.installed: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(SPIKES)
	$(SPIKES)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(SPIKES)/bin/python -m pip install --quiet . --group spikingjelly
	# SpikingJelly asks for wheels that fit only the CUDA build of torch, and needs neither here.
	$(SPIKES)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(SPIKES) $(SIMULATORS) $(LAVA) build
