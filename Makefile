# `make demo` shows what qvl does, `make test` checks everything except the long tests, which `make test-long` runs.
# `make quick` checks what has changed since the commit SINCE.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo journey test tests test-long quick check lint format bench clean
SINCE ?= HEAD
JOBS ?= 2
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

demo: .stamps/demo
	$(BIN)/qvl demo

journey: .stamps/dev
	$(BIN)/qvl demo --full

test: .stamps/dev check

check: .stamps/dev
	$(MAKE) --jobs=2 lint tests

# one after the other, mypy would leave a core idle for a minute
tests: .stamps/dev
	$(PYTEST)

test-long: .stamps/dev
	$(BIN)/pytest -m long

quick: lint
	$(PYTEST) -q $$($(BIN)/python scripts/changed_tests.py $(SINCE))

lint: .stamps/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

format: .stamps/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .stamps/dev
	$(BIN)/python benchmarks/curate_scan.py
	$(BIN)/python benchmarks/curate_select.py
	$(BIN)/python benchmarks/curate_pack.py
	$(BIN)/python benchmarks/curate_growth.py

.stamps/venv:
	sh scripts/make_venv.sh $(PYTHON) .venv
	mkdir -p .stamps && touch $@

.stamps/demo: .stamps/venv pyproject.toml constraints.txt scripts/ocr_packages.sh
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ocr]'
	sh scripts/ocr_packages.sh || echo 'note: OCR sources whose packages are not installed will be left out'
	touch $@

.stamps/dev: .stamps/venv pyproject.toml constraints.txt scripts/system_packages.sh
	sh scripts/system_packages.sh
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,ocr,train]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps open-clip-torch timm torchvision
	$(BIN)/python scripts/patch_torchvision.py
	$(BIN)/python tests/model/fetch_tokenizer.py || echo 'note: no tokenizer file, its golden tests will be skipped'
	touch $@ .stamps/demo

clean:
	rm -rf .venv .stamps out
