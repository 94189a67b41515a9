# `make check` is what has to pass before a change lands; CI runs the same script.
PYTHON ?= .venv/bin/python

.PHONY: check test lint format nightly proofs versions

check:  # everything, in a fresh .venv
	.ci/run

test:  # the quick tests
	$(PYTHON) -m pytest

lint:  # style, types and spelling
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy --platform win32
	$(PYTHON) -m codespell_lib

format:  # rewrite the files in the project's style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

nightly:  # the tests that `make check` leaves out, because they take long
	$(PYTHON) -m pytest -m nightly

proofs:  # many trials of every fault, with a table
	$(PYTHON) -m pytest -m proof

versions:  # the quick tests, with the lowest and the newest versions of what the program needs
	$(PYTHON) scripts/check_versions.py
