# `make demo` trains, evaluates and films an agent, `make test` checks everything, `make docs` builds the site.
# `make test-newest` and `make test-oldest` check with the newest and the oldest packages that pyproject.toml allows.
# `make test-clients` checks the adapters against other projects, and lets their trainers learn.
# `make test` leaves the slow tests to `make test-slow`; the newest and the oldest run both kinds.
# All set up what they need.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-slow test-newest test-oldest test-package test-clients lint docs clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "xworld needs Python 3.11 or newer; set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/xworld train --preset demo --run runs/demo --continue-if-started --film
	$(BIN)/xworld evaluate --agent runs/demo
	$(BIN)/xworld render runs/demo

test: $(READY) lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# The newest Python there is, and what pip gives it without constraints. Runs are read by the other environment too.
NEWEST_PYTHON ?= $(shell ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.*/bin/python 2>/dev/null | sort -V | tail -n 1)
test-newest: $(READY)
	rm -rf .venv-newest runs/versions
	$(or $(NEWEST_PYTHON),$(PYTHON)) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --editable '.[dev]'
	.venv-newest/bin/python -m pytest -n 2 --dist worksteal --lenient
	$(BIN)/xworld train --preset smoke --run runs/versions/pinned
	.venv-newest/bin/xworld train --preset smoke --run runs/versions/newest
	$(BIN)/python tests/helpers/across_versions.py runs/versions/pinned runs/versions/newest
	.venv-newest/bin/python tests/helpers/across_versions.py runs/versions/pinned runs/versions/newest

test-oldest:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "This needs Python 3.11, the oldest; set PYTHON=..." >&2; exit 2; }
	rm -rf .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	$(PYTHON) tests/helpers/lower_bounds.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt --editable '.[dev]'
	.venv-oldest/bin/python -m pytest -n 2 --dist worksteal --lenient

# What is published, installed into bare environments.
test-package: $(READY)
	$(BIN)/python tests/helpers/check_package.py

# Packages that may clash with ours, in environments of their own under .venv-clients.
test-clients:
	$(PYTHON) tests/clients/run.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy xworld
	$(BIN)/lint-imports --no-cache

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo 'Wrote site/index.html'

clean:
	rm -rf site .venv .venv-newest .venv-oldest .venv-clients .jax_cache build dist *.egg-info
