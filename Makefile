# Every target does its own set-up in .venv; a second run starts at once.
#
#   make test      the whole check: format, lint, types, import layers, tests
#   make demo      a real training run: save, change, load, train again, undo
#   make torture   the long tests; TORTURE sets their size, 1 is the full one
#   make check-1.0 our files in JellyML 1.0 itself, and its files in ours
#   make bench     how long it takes, written to docs/performance.md; ROWS="loading finding"
#                  measures only some rows; in .venv-bench
#   make bench-quick   the same on small repositories, under two minutes
#   make test-formats  every format with the libraries that write and read it, and real trainers;
#                  writes the tables in docs/formats.md; in .venv-formats
#   make docs-example  a fine-tune, shown, compared and logged: writes docs/fine-tune.md anew;
#                  in .venv-bench
#   make format    put the code into the one format
#   make clean     remove the environment and all caches
#
# Where pip's index holds no CPU build of torch:
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
TORTURE ?= 1
ROWS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input

.PHONY: test test-formats demo torture check-1.0 bench bench-quick docs-example format clean
.DEFAULT_GOAL := test

test: .venv/ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -m "not torture"

demo: .venv/ready
	$(BIN)/python demo/demo.py

torture: .venv/ready
	TORTURE=$(TORTURE) $(BIN)/pytest -n auto -m torture

check-1.0: .venv/ready build/1.0/ready
	JELLYML_1_0=$(CURDIR)/build/1.0/bin/python $(BIN)/pytest tests/compat/with_1_0.py

build/1.0/ready:
	$(PYTHON) -m venv build/1.0
	build/1.0/bin/python -m pip install --no-deps jellyml==1.0.0
	build/1.0/bin/python -m pip install rich appdirs
	@touch $@

bench: .venv-bench/trackers
	.venv-bench/bin/python -m benchmarks $(ROWS)

bench-quick: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks --quick $(ROWS)

docs-example: .venv-bench/ready
	.venv-bench/bin/python demo/fine_tune.py

# Not in `make test`: the libraries fill gigabytes, and what they warn of is not ours.
test-formats: .venv-formats/ready
	rm -rf build/formats
	PYTHONPATH=tests/support .venv-formats/bin/python -m pytest -ra -n auto -c /dev/null \
	  --rootdir=. -p no:cacheprovider \
	  tests/integrations $(wildcard tests/formats_real/every_*.py)
	.venv-formats/bin/python tests/formats_real/table.py build/formats

format: .venv/ready
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find src tests demo -name __pycache__ -type d -prune -exec rm -rf {} +

# A moved or copied environment still points to where it was: make it anew.
ifneq ($(shell cat .venv/place 2>/dev/null),$(CURDIR))
.PHONY: .venv/place
endif

.venv/place: requirements-torch.txt
	$(PYTHON) -m venv --clear .venv
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements-torch.txt
	@printf '%s\n' '$(CURDIR)' > $@

.venv/ready: .venv/place requirements-dev.txt pyproject.toml src/jellyml/_version.py
	$(PIP) -r requirements-dev.txt --editable .
	@touch $@

# The benchmark's own environment: other trackers and matplotlib stay out of the one above.
ifneq ($(shell cat .venv-bench/place 2>/dev/null),$(CURDIR))
.PHONY: .venv-bench/place
endif

BENCH_PIP := .venv-bench/bin/python -m pip install --disable-pip-version-check --no-input

.venv-bench/place: requirements-torch.txt
	$(PYTHON) -m venv --clear .venv-bench
	@echo '*' > .venv-bench/.gitignore
	$(BENCH_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements-torch.txt
	@printf '%s\n' '$(CURDIR)' > $@

# As users have it: a copy that is installed and compiled, not the folder itself.
.venv-bench/ready: .venv-bench/place benchmarks/requirements.txt pyproject.toml \
    $(shell find src -name '*.py')
	$(BENCH_PIP) -r benchmarks/requirements.txt .
	$(BENCH_PIP) --quiet --force-reinstall --no-deps .
	@touch $@

.venv-bench/trackers: .venv-bench/ready benchmarks/requirements-trackers.txt
	@grep -v '^#' benchmarks/requirements-trackers.txt | while read -r one; do \
	  $(BENCH_PIP) --quiet "$$one" || echo "$$one cannot be installed here; its rows will say so."; \
	done
	@touch $@

# The trainers' and formats' own environment.
ifneq ($(shell cat .venv-formats/place 2>/dev/null),$(CURDIR))
.PHONY: .venv-formats/place
endif

FORMATS_PIP := .venv-formats/bin/python -m pip install --disable-pip-version-check --no-input

.venv-formats/place: requirements-torch.txt
	$(PYTHON) -m venv --clear .venv-formats
	@echo '*' > .venv-formats/.gitignore
	$(FORMATS_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements-torch.txt
	@printf '%s\n' '$(CURDIR)' > $@

.venv-formats/ready: .venv-formats/libraries pyproject.toml packages/jellyml-lightning/pyproject.toml
	$(FORMATS_PIP) --quiet pytest==9.2.0 pytest-xdist==3.8.0 hypothesis==6.168.5 --editable .
	$(FORMATS_PIP) --quiet --no-deps --editable packages/jellyml-lightning
	@touch $@

.venv-formats/libraries: .venv-formats/place tests/requirements-formats.txt
	@grep -v '^#' tests/requirements-formats.txt | while read -r one; do \
	  $(FORMATS_PIP) --quiet "$$one" || echo "$$one cannot be installed here; its tests skip."; \
	done
	@touch $@
