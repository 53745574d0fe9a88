# make demo   the main job on embedded photographs; leaves demo/index.html to look at
# make test   every test
# Both install what they need into .venv first.

PYTHON ?= python3
BIN := .venv/bin
# uv reads its own variable for local wheels; hand it pip's
export UV_FIND_LINKS ?= $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)

.PHONY: install demo test lint bench-kodak

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps compressai==1.2.8  # asks for NumPy 1
	touch $@

demo: .venv/installed
	$(BIN)/midtread bench demo --out demo
	$(BIN)/midtread report demo
	@echo "Open demo/index.html in a browser."

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto

lint: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
