# `make test` and `make demo` do all their set-up: a virtual environment in .venv, made anew
# only when pyproject.toml changes.  PYTHON=... names the interpreter to make it from.

PYTHON ?=
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test sweep bench peers lint format clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

demo: $(READY) ## compile the two trained digit nets and hold them against ONNX Runtime
	@$(PY) examples/demo.py

test: lint ## lint, then every test
	@$(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

sweep: $(READY) ## 200 random nets: each right, and none slower than ONNX Runtime
	@$(PY) examples/sweep.py

bench: peers ## measure docs/performance.md against every peer
	@$(PY) examples/performance.py

peers: $(READY) ## install what bench measures against; their tests skip without them
	@$(PY) -m pip install -qq --disable-pip-version-check --editable '.[bench]'
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps pnnx

lint: $(READY) ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m mypy

format: $(READY) ## sort imports and mend what ruff can mend
	@$(PY) -m ruff check --fix .

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find nincc tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# A supported interpreter is 3.10 to 3.13 with its venv module whole (Debian keeps ensurepip apart).
SUPPORTED := import sys; import ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))

$(READY): pyproject.toml
	@if ! $(PY) -c '$(SUPPORTED)' 2>/dev/null; then \
	    for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10); do \
	        version=$${version:-$$($$python --version 2>/dev/null)}; \
	        if $$python -c '$(SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "nincc needs Python 3.10 to 3.13 with its venv module (Debian: apt install python3-venv)," \
	            "found $${version:-none}; name another: make PYTHON=python3.12 …" >&2; \
	        exit 2; \
	    fi; \
	    rm -rf $(VENV) && $$found -m venv $(VENV) || exit 2; \
	fi
	@echo "installing nincc and its dependencies into $(VENV) …" >&2
	@$(PY) -m pip install -qq --disable-pip-version-check --editable '.[test]'
	@touch $@
