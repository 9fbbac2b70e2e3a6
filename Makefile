# make demo and make test are all that a fresh clone needs; each makes .venv first. "make help" lists the rest.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := "import sysconfig; print(sysconfig.get_path('purelib'))"
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-torchrec check format docs bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## compare ways of sharing on a made-up log whose truth is known: verdict in the terminal, report in runs/demo
	$(BIN)/manygate demo

# One thread a worker: threads that outnumber the cores wait for each other.
test: $(VENV)/.installed-dev  ## run the tests (WORKERS=N for more processes)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

test-torchrec: build/torchrec/.installed  ## run the tests of tables that TorchRec spreads over processes
	OMP_NUM_THREADS=1 PYTHONPATH=src MANYGATE_REQUIRE_TORCHREC=1 build/torchrec/bin/python -m pytest tests/training/test_torchrec_*.py

check: $(VENV)/.installed-dev  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev  ## write the generated pages again and build the site into build/site
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/gallery.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/site/index.html, or: python -m http.server --directory build/site (then the search works, too)"

bench: $(VENV)/.installed  ## speed beside two peers; needs them installed and DATA=FOLDER (see benchmarks/epoch.py)
	$(BIN)/python benchmarks/epoch.py --data $(or $(DATA),census)

clean:  ## remove the environment and the caches
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Two stamps: the demo needs the package and LightGBM beside it, the tests also what they compare with.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"  # the first that knows dependency groups
	$(PIP) install --quiet -c constraints.txt -e '.[baselines,export,serve]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt --group test --group check --group docs
	touch $@

# TorchRec in an environment beside the other, which it reads: --no-deps keeps pip from a CUDA build of FBGEMM and another PyTorch.
build/torchrec/.installed: $(VENV)/.installed-dev
	$(PYTHON) -m venv build/torchrec
	$(BIN)/python -c $(PACKAGES) > "$$(build/torchrec/bin/python -c $(PACKAGES))/tests.pth"
	build/torchrec/bin/python -m pip install --disable-pip-version-check --quiet --no-deps fbgemm-gpu-cpu==1.8.0 torchrec==1.8.0 \
	  tensordict==0.15.3 torchmetrics==1.0.3 pyre-extensions==0.0.32 pyvers==0.2.3 lightning-utilities==0.15.3 typing-inspect==0.9.0
	touch $@
