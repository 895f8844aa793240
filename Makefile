# `make demo` and `make test` are all that a fresh machine needs: both make the
# environment first. PYTHON=/path/to/python3.13 chooses the interpreter.
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
OUT ?= demo-output
REPORTS ?= report-output
# The order of files is that of tests/conftest.py: the slowest first, so that no worker is left alone
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
    --max-worker-restart 0

.DEFAULT_GOAL := help
.PHONY: help env demo report test test-quick lint format docs notebooks bench faults mutants wheel sbom constraints clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: ## make or refresh the environment in .venv
	@VENV="$(VENV)" scripts/bootstrap

demo: env ## the main job on the embedded CDNOW log, results in demo-output/
	@$(BIN)/clvmodels demo --out "$(OUT)"

report: env ## the diagnostic reports of CDNOW and Online Retail, in report-output/
	@$(BIN)/python scripts/reports.py "$(REPORTS)"

test: env ## every test, slow ones included; ONLY="FILE ..." for some
	$(PYTEST) --durations=60 --durations-min=8 $(ONLY)

test-quick: env ## the tests of a few seconds and less; ONLY="FILE ..." for some
	$(PYTEST) -m "not slow" $(ONLY)

lint: env ## ruff and mypy, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: env ## run the notebooks and store what they show; ONLY=NAME for one
	$(BIN)/python scripts/notebooks.py $(ONLY)

docs: env ## the documentation site, warnings as errors, in docs/_build/html
	rm -rf docs/api/generated docs/_build
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

faults: env ## kills, full disks, damaged files and odd columns, at full counts (ten minutes)
	CLVMODELS_FLIPS=1000 $(PYTEST) tests/recovery/test_scoring_killed.py \
	    tests/recovery/test_scoring_disk_full.py tests/recovery/test_container.py \
	    tests/unit/test_storage.py tests/unit/test_spark_killed.py \
	    tests/protocol/test_column_types.py tests/protocol/test_score_fuzz.py \
	    tests/protocol/test_score_fuzz_files.py

# Cosmic Ray wants packages that ours have no use for, so that it has an environment of its own.
mutants: env ## plant faults into formulas and count those that tests notice; ONLY="EACH [MODULE ...]"
	scripts/install-into build/cosmic-ray cosmic-ray
	build/cosmic-ray/bin/python scripts/mutants.py benchmarks/mutants.csv $(ONLY)

bench: env ## measure speed and memory beside pymc-marketing (an hour); ONLY=NAME for one suite
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

wheel: env ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

sbom: env ## what the environment is made of, as a CycloneDX bill of materials, in dist/
	mkdir -p dist
	$(BIN)/python scripts/sbom.py >dist/sbom.json

# Needs uv. Versions only: registries and machine paths stay out of the file.
constraints: ## pin the newest versions that fit pyproject.toml
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.12 --upgrade \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    --quiet --output-file constraints.txt
	$(BIN)/python scripts/score_requirements.py

clean: ## remove what tests, builds and the demo left behind
	rm -rf build dist demo-output report-output .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	    docs/_build docs/api/generated docs/api/pictures docs/notebooks docs/commands.md
	find clvmodels tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and the environment too
	rm -rf "$(VENV)"
