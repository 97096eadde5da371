# Everything runs in .venv, made on first use from constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
# The versions to install: make test CONSTRAINTS=constraints-lowest.txt tries the lowest that are allowed
CONSTRAINTS ?= constraints.txt
# The benchmarks have an environment of their own, .venv-bench, made from benchmarks/constraints.txt.
# They want the newest Python that is here and runs: the newest JAX has left Python 3.11 behind.
BENCH := .venv-bench/bin
BENCH_PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 $(PYTHON),$(if $(shell $(name) -c 'print(1)' 2>&1 | grep -x 1),$(name))))
# What the benchmarks are told: make bench BENCHMARKS='--only epoch,inference --rounds 3'
BENCHMARKS ?=
# Two processes share the tests; whoever is done takes some of the other's.
SHARED := -n 2 --dist worksteal
# What pytest is told: make test PYTEST=tests/test_network.py
PYTEST ?= --cov $(SHARED)
# What make fuzz does: new examples for so long, or one round for each of given seeds: make fuzz SEEDS='1 2 3'
SECONDS ?= 600
SEEDS ?=
EXAMPLES ?= 2000

# What make lesson opens: the lesson, or what comes after it: make lesson LESSON=next
LESSON ?= lesson
JUPYTER ?= $(BIN)/jupyter lab

# What the server is put through: make soak SOAK='--only signals --signals 5'
SOAK ?=

# Which rungs of the ladder are climbed: make ladder LADDER='--only mnist-dense --seeds 2', or LADDER=--search
LADDER ?=

.PHONY: run lesson test fuzz check sanitize bench ladder soak notebooks fonts docs clean

run: .venv/installed
	$(BIN)/sumtoone train digits --test --plots

lesson: .venv/learning
	$(JUPYTER) notebooks/$(LESSON).$$($(BIN)/python -c 'from sumtoone.language import language; print(language())').ipynb

test: .venv/installed
	$(BIN)/python -m pytest $(PYTEST)

fuzz: .venv/installed
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS) --examples $(EXAMPLES) --seeds $(SEEDS) $(SHARED)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests benchmarks docs *.md Makefile pyproject.toml

sanitize:
	tests/native/sanitize.sh

# Whether the data is there is asked before minutes are spent on an installation.
bench:
	$(BENCH_PYTHON) -m benchmarks --check $(BENCHMARKS)
	$(MAKE) .venv-bench/installed
	$(BENCH)/python -m benchmarks $(BENCHMARKS)

# How exact dense networks get on MNIST and Fashion-MNIST: trains for hours what runs/ladder does not hold yet.
ladder: .venv/installed
	$(BIN)/python -m benchmarks.ladder $(LADDER)

# Some quarter of an hour: ten times the load, slow and idle clients, SIGTERMs, requests that are none.
soak: .venv/installed
	$(BIN)/python -m benchmarks.soak $(SOAK)

notebooks: .venv/installed
	$(BIN)/python notebooks/build.py

# Needs NanumGothic as Debian's fonts-nanum installs it.
fonts: .venv/installed
	$(BIN)/python fonts/build.py

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

KERNELS := CMakeLists.txt $(wildcard src/sumtoone/native/*.cpp src/sumtoone/native/*.h)

.venv/installed: pyproject.toml $(CONSTRAINTS) $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[serve,onnx,test,docs]'
	touch $@

# What a lesson needs, and nothing of what developers need.
.venv/learning: pyproject.toml $(CONSTRAINTS) $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[learn]'
	touch $@

.venv-bench/installed: pyproject.toml benchmarks/constraints.txt $(KERNELS)
	test -x $(BENCH)/python || $(BENCH_PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip install --quiet --constraint benchmarks/constraints.txt --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv .venv-bench build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
