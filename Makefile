# Everything runs in .venv, made on first use from constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
# What pytest is told besides: make test PYTEST=tests/test_network.py
PYTEST ?= --cov

.PHONY: run test check sanitize bench notebooks clean

run: .venv/installed
	$(BIN)/sumtoone train digits --test --plots

test: .venv/installed
	$(BIN)/python -m pytest $(PYTEST)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests benchmarks docs *.md Makefile pyproject.toml

sanitize:
	tests/native/sanitize.sh

bench: .venv/installed
	$(BIN)/python -m benchmarks

notebooks: .venv/installed
	$(BIN)/python notebooks/build.py

.venv/installed: pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/sumtoone/native/*.cpp src/sumtoone/native/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
