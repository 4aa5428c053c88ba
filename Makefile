# Needs make and Python 3.11, nothing else. `make help` lists the targets.

SHELL := /bin/sh
BIN := .venv/bin
# Many containers set this; then every process would compile MLflow, Feast and the rest anew at each start.
# Modules are compiled when they are first imported: compiling all of them beforehand takes a minute longer.
unexport PYTHONDONTWRITEBYTECODE
STAMP := .venv/.installed
SPARK_STAMP := .venv/.installed-spark

.DEFAULT_GOAL := help
.PHONY: help env spark demo up down check test bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp holds a digest of what was installed, not a time: a fresh checkout or a touched file changes
# nothing. It is removed first and written last: a .venv without one was interrupted half way, or is not
# ours, and is made anew (quickly: uv keeps what it downloaded).
# `uv pip sync` removes the project itself, hence the order; the lock holds setuptools, which builds it.
env: ## Install what requirements.lock names into .venv (does nothing if that is done)
	@installed=$$(cat $(STAMP) 2>/dev/null); wanted=$$(cat requirements.lock pyproject.toml | cksum); \
	if [ "$$installed" = "$$wanted" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	set -e; \
	rm -f $(STAMP) $(SPARK_STAMP); \
	if [ -z "$$installed" ] || ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
		for name in python3.11 python3 python; do \
			if $$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
				python=$$name; break; \
			fi; \
		done; \
		if [ -z "$$python" ]; then \
			echo "Python 3.11 was not found. Install it (Debian: apt install python3.11 python3.11-venv)" >&2; \
			echo "so that 'python3.11' is on the PATH, then run make again." >&2; \
			exit 1; \
		fi; \
		echo "Creating .venv with $$python"; \
		rm -rf .venv; \
		$$python -m venv .venv; \
	fi; \
	uv=$$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock); \
	case "$$($(BIN)/uv --version 2>/dev/null) " in "uv $$uv "*) ;; *) \
		echo "Installing uv $$uv"; \
		$(BIN)/python -m ensurepip >/dev/null; \
		awk '/^[^ #]/ { on = /^uv==/ } on' requirements.lock > .venv/uv.txt; \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps --force-reinstall -r .venv/uv.txt; \
	esac; \
	echo "Installing the packages of requirements.lock"; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	echo "$$wanted" > $(STAMP)

# Beside the other packages, and with the same care: `make env` removes it where it installs anew, and its stamp before.
spark: env ## Install Spark, too (WARRANT_ENGINE=spark; the tests need it). Java is the machine's
	@wanted=$$(cksum < requirements-spark.lock); \
	if [ "$$(cat $(SPARK_STAMP) 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
	set -e; \
	rm -f $(SPARK_STAMP); \
	echo "Installing the packages of requirements-spark.lock"; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --require-hashes \
		-r requirements-spark.lock; \
	echo "$$wanted" > $(SPARK_STAMP)

demo: env ## Replay real days through the whole lineage and print the scorecard
	$(BIN)/warrant demo

up: env ## Start the database, the Dagster UI and daemon, and MLflow
	$(BIN)/warrant up

down: env ## Stop what `make up` started
	$(BIN)/warrant down

check: spark ## Check format, lint, types, the direction of imports, the definitions and the contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyrefly check
	$(BIN)/lint-imports
	$(BIN)/dg check defs
	$(BIN)/warrant contract check

# The order of the files is that of tests/conftest.py, the longest first; xdist's own has them last.
test: spark ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=30

bench: spark ## Run every benchmark, each printing one JSON document
	@for file in $$(grep -l '^if __name__' benchmarks/*.py); do \
		name=$$(basename "$$file" .py); \
		echo "benchmarks.$$name" >&2; \
		$(BIN)/python -m "benchmarks.$$name" --json || exit 1; \
	done

lock: env ## Compile requirements.lock and requirements-spark.lock from pyproject.toml again
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -o requirements.lock
	$(BIN)/uv pip compile --group spark --constraint requirements.lock --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -o requirements-spark.lock

clean: ## Stop the servers; remove .venv and caches (data in .warrant stays)
	@if [ -x $(BIN)/warrant ]; then $(BIN)/warrant down || true; fi
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist warrant.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
