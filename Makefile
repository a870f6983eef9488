# Every target makes what it needs: a virtual environment in .venv, with a Python of at least 3.11.
# make demo and make test are all the set-up a fresh Debian or Ubuntu needs.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.ONESHELL:
.SUFFIXES:

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Exact versions with hashes, of which everything for tests is; empty, as in make LOCK= test, for the newest that fit.
LOCK ?= requirements/ci.txt
TEST_JOBS ?= 3
FOLDER ?= src/calcreport/rules
MUTANTS ?= 150
SEED ?= 13
AT_LEAST ?= 80
# Folders with real studies (make docs, make accuracy-unseen), and options of tests/accuracy/run_unseen.py, as in UNSEEN='--perturb all --write'
DATA ?=
UNSEEN ?=
# Files or folders that make test is limited to; tests/ when empty.
TEST_PATHS ?=
DEMO_STUDY := sample_dicoms/myositis_calf
export PYTHON
# One thread of linear algebra a process: the arrays are small, and the studies run side by side.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
# Compiled modules are kept, whatever the machine prefers: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo show-demo-study test check lint types imports fmt docs bench accuracy test-slow test-long accuracy-unseen mutate coverage wheel lock \
	sbom clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

$(BIN)/python:
	@sh .ci/venv $(VENV)

$(VENV)/.run-ready: pyproject.toml phantom/pyproject.toml | $(BIN)/python
	@echo "installing calcreport into $(VENV)"
	$(PIP) install --editable . --editable ./phantom
	touch $@

$(VENV)/.dev-ready: pyproject.toml phantom/pyproject.toml $(LOCK) | $(BIN)/python
	@echo "installing calcreport and its development tools into $(VENV)"
	if [ -n "$(LOCK)" ]; then
		$(PIP) install --require-hashes --requirement $(LOCK)
		$(PIP) install --no-deps --no-build-isolation --editable . --editable ./phantom
	else
		$(PIP) install --editable '.[dev]' --editable ./phantom
	fi
	touch $@ $(VENV)/.run-ready

demo: $(VENV)/.run-ready ## analyse a bundled sample study, print its report section and where the page is
	@$(BIN)/calcreport analyze $(DEMO_STUDY) --clinical $(DEMO_STUDY).clinical.yaml --out out/demo
	for page in out/demo/*/report.html; do echo; echo "Page with pictures: $$page"; done

show-demo-study:
	@echo $(DEMO_STUDY)

test: $(VENV)/.dev-ready ## run all tests that take seconds
	@sh .ci/system-packages
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal -m 'not slow' $(or $(TEST_PATHS),tests)

test-slow: $(VENV)/.dev-ready ## tests that take longer: a dozen phantoms of each kind (make accuracy: the long run), the phantoms themselves, workers that die
	@sh .ci/system-packages
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile -m 'slow and not long' tests
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal phantom/tests

test-long: $(VENV)/.dev-ready ## workers that freeze, lose their database, or are killed at every moment; alone on the machine, 8 minutes
	@sh .ci/system-packages
	$(BIN)/python -m pytest -m long tests

mutate: $(VENV)/.dev-ready ## change the code of a folder and see whether its tests notice: FOLDER= MUTANTS= SEED= AT_LEAST=
	$(BIN)/python tests/mutation/run.py $(FOLDER) --mutants $(MUTANTS) --seed $(SEED) --jobs $(TEST_JOBS) --at-least $(AT_LEAST)

check: lint types imports test test-slow ## everything a change has to pass

lint: $(VENV)/.dev-ready ## style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-ready ## static types
	$(BIN)/mypy

imports: $(VENV)/.dev-ready ## the layers know only the layers below them
	$(BIN)/lint-imports

fmt: $(VENV)/.dev-ready ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev-ready ## write the documentation that is made from the code
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/read_aloud.py $(DATA)

bench: $(VENV)/.dev-ready ## time and memory of CT and radiographs, against SimpleITK
	$(BIN)/python bench/run.py
	$(BIN)/python bench/run_films.py

accuracy: $(VENV)/.dev-ready ## measurements on phantoms of known truth, CT and radiographs
	$(BIN)/python tests/accuracy/run_phantoms.py --jobs $(TEST_JOBS)
	$(BIN)/python tests/accuracy/run_films.py --jobs $(TEST_JOBS)
	$(BIN)/python tests/accuracy/run_contours.py

accuracy-unseen: $(VENV)/.dev-ready ## the analysis on real studies, with lesions put in and as changed copies: DATA='FOLDER...' UNSEEN=options
	$(BIN)/python tests/accuracy/run_unseen.py $(DATA) --jobs 2 $(UNSEEN)

coverage: $(VENV)/.dev-ready ## which lines and branches the tests reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(TEST_JOBS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

wheel: $(VENV)/.dev-ready ## build dist/*.whl
	rm -rf dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

lock: $(VENV)/.dev-ready ## raise the exact versions that tests run with, requirements/ci.txt
	$(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-header --no-annotate --output-file requirements/ci.txt pyproject.toml

sbom: wheel ## what a locked installation of the wheel holds, dist/sbom.cdx.json (CycloneDX)
	rm -rf build/sbom
	sh .ci/venv build/sbom
	sed 's/ *\\$$//; /^ *--hash/d' requirements/ci.txt >build/sbom/versions.txt
	build/sbom/bin/python -m pip --disable-pip-version-check --quiet install --constraint build/sbom/versions.txt dist/*.whl
	made=$$(build/sbom/bin/calcreport --version)
	build/sbom/bin/python -m pip --quiet uninstall --yes pip setuptools    # of the environment, not of the product
	sed "s/^dynamic = .*/version = \"$${made#calcreport }\"/" pyproject.toml >build/sbom/pyproject.toml    # with the commit
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject build/sbom/pyproject.toml --mc-type application \
		--output-file dist/sbom.cdx.json build/sbom

clean: ## remove everything that was made
	rm -rf $(VENV) out dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage*
