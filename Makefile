# Everything a person or a pipeline does with this repository. `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
VENV := .venv
BIN := $(VENV)/bin
DONE := .make
# More test processes than processors: many tests wait, for a deadline or for a process that starts.
JOBS ?= $(shell echo $$(( $$(nproc) * 2 )))
# Whole files to a process, in the order of tests/conftest.py: the long ones first.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder
# About commands, operators and what lies at rest: none of it is compiled, so it is shown once.
ONCE := $(addprefix tests/,wire/test_admin.py wire/test_revocation.py wire/test_revocation_lists.py wire/test_rotation.py \
	wire/test_rotation_killed.py wire/test_rotation_orphans.py wire/test_stored_secrets.py wire/workers/test_blocks.py \
	security/test_at_rest.py security/test_condition_language.py security/test_configuration.py security/test_hostile_rows.py \
	security/test_hostile_tables.py security/test_kept_in.py security/test_key_rows.py security/test_sealed_secrets.py)
FUZZ ?= 300
SOAK ?= 1800
CRASHES ?= 17
WORKERS ?= 1
IMAGE ?= latchgate:dev
BENCH_PYTHON ?= $(firstword $(wildcard $(shell $(PYTHON) -c 'import sys; print("/usr/bin/python%d.%d" % sys.version_info[:2])')) $(PYTHON))
UV_VERSION := 0.13.9
RIVALS := $(patsubst %,$(DONE)/bench/%.done,envoy mitmproxy proxy-py node)
LONG_RIVALS := $(patsubst %,$(DONE)/bench/%.done,contextforge litellm)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

# Read by the tests: where the tools live that cannot share our environment, and vectors others published, beside the checkout.
export SSLYZE := $(CURDIR)/$(DONE)/sslyze/bin/sslyze
export AWS_TOOLS := $(CURDIR)/$(DONE)/aws/bin/python
export MCP := $(CURDIR)/$(DONE)/mcp/bin/python
export BAO := $(CURDIR)/$(DONE)/bao/bin/bao
export VECTORS := $(abspath ../shared/vectors)

# Many an image for containers forbids it, and then each of the hundreds of processes that tests start compiles all it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(DONE)/dev  ## create .venv with everything a developer needs

.PHONY: demo
demo: $(DONE)/runtime  ## five requests, five answers, on loopback
	@$(BIN)/gateway demo --check
	@echo 'To send them yourself: $(BIN)/gateway demo'

.PHONY: test
test: $(DONE)/apt-test $(DONE)/apt-compile $(DONE)/dev  ## everything that must hold: lint, types, arch, all tests, and test-compiled
	setsid nice $(MAKE) --no-print-directory compiled >$(DONE)/compiled.log 2>&1 & compiling=$$!; \
	setsid $(MAKE) --no-print-directory others >$(DONE)/others.log 2>&1 & installing=$$!; \
	trap 'kill -- -$$compiling -$$installing 2>/dev/null || true' EXIT; \
	$(MAKE) --no-print-directory lint types arch read; \
	wait $$installing || { cat $(DONE)/others.log >&2; exit 1; }; \
	$(MAKE) --no-print-directory test-python; \
	wait $$compiling || { cat $(DONE)/compiled.log >&2; exit 1; }; \
	$(MAKE) --no-print-directory test-compiled

.PHONY: others
others: $(DONE)/apt-browser $(DONE)/node $(DONE)/sslyze.done $(DONE)/aws.done $(DONE)/bao.done $(DONE)/mcp.done  ## what others wrote and the tests use, each in an environment of its own

.PHONY: read
read: $(DONE)/dev  ## every test file read and compiled once, so that not each test process does it anew
	$(BIN)/python -m pytest --collect-only --quiet --quiet >$(DONE)/read.log || { cat $(DONE)/read.log >&2; exit 1; }

.PHONY: test-python
test-python: $(DONE)/apt-test $(DONE)/dev others  ## all tests, everything interpreted
	$(BIN)/python -m pytest $(SPREAD)

.PHONY: fuzz
fuzz: $(DONE)/dev  ## bytes of clients and upstreams against a strict reader, for FUZZ=seconds each
	FUZZ_SECONDS=$(FUZZ) $(BIN)/python -m pytest tests/fuzz -n 2 --timeout 0 -o faulthandler_timeout=0

.PHONY: compiled
compiled: $(DONE)/compiled.done  ## the request path compiled to C, from the same sources: a wheel in dist/, a tree in .make/compiled

.PHONY: test-compiled
test-compiled: $(DONE)/apt-test $(DONE)/dev $(DONE)/compiled.done  ## what goes over sockets, once more with the compiled request path (but ONCE)
	ls $(ONCE) >/dev/null
	rm -rf $(DONE)/compiled/tests
	tar -c --exclude=node_modules tests policies deploy docs CHANGELOG.md config.example.yaml | tar -x -C $(DONE)/compiled
	cd $(DONE)/compiled && REQUEST_PATH=compiled PYTHONPATH=$$PWD $(CURDIR)/$(BIN)/python -m pytest $(SPREAD) $(addprefix --ignore=,$(ONCE)) tests/compiled tests/wire tests/security tests/fuzz

.PHONY: lint
lint: $(DONE)/dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(DONE)/dev  ## mypy, strict
	$(BIN)/mypy

.PHONY: arch
arch: $(DONE)/dev  ## import-linter: storeys and lives-in contracts
	$(BIN)/lint-imports

.PHONY: bench
bench: $(DONE)/apt-bench $(DONE)/apt-rivals $(DONE)/dev $(DONE)/bench/gateway.done $(RIVALS)  ## the gateway beside other proxies, written to docs (15 minutes, never gates)
	$(BIN)/python -m bench --write docs/explanation/performance.md

.PHONY: bench-quick
bench-quick: $(DONE)/apt-bench $(DONE)/apt-rivals $(DONE)/dev $(DONE)/bench/gateway.done $(RIVALS)  ## the same in four minutes, coarser, printed only
	$(BIN)/python -m bench --quick

.PHONY: bench-long
bench-long: $(DONE)/apt-bench $(DONE)/apt-rivals $(DONE)/dev $(DONE)/bench/gateway.done $(RIVALS) $(LONG_RIVALS)  ## the same with ContextForge and LiteLLM, which take long to install
	$(BIN)/python -m bench --long --write docs/explanation/performance.md

.PHONY: bench-policy
bench-policy: $(DONE)/dev $(DONE)/bench/gateway.done $(DONE)/bench/policy.done  ## policy decisions beside CEL, Cedar and Casbin, written to docs (5 minutes, never gates)
	$(BIN)/python -m bench.policy --write docs/explanation/policy-speed.md

.PHONY: crash
crash: $(DONE)/apt-test $(DONE)/dev $(DONE)/node  ## kill -9 at each step of a grant's refresh, CRASHES=17 times each (204 gateways, five minutes and more)
	CRASHES=$(CRASHES) $(BIN)/python -m pytest tests/external/test_crash.py tests/external/patience.py --timeout 0 -o faulthandler_timeout=0

.PHONY: soak
soak: $(DONE)/apt-test $(DONE)/dev  ## faults, reloads, abuse and honest clients at once for SOAK=seconds, WORKERS=1; every answer checked
	$(BIN)/python -m bench.soak --seconds $(SOAK) --workers $(WORKERS)

.PHONY: image
image:  ## build the container image
	docker build --tag $(IMAGE) .

.PHONY: docs
docs: $(DONE)/dev  ## regenerate the reference pages that come from code
	$(BIN)/python docs/generate.py

.PHONY: fuzz-cel
fuzz-cel: $(DONE)/dev  ## compare conditions with Google's CEL engine: 200,000 expressions that both accept (about ten minutes)
	$(BIN)/python -m tests.celfuzz

.PHONY: lock
lock: $(DONE)/uv/bin/uv  ## resolve all requirements anew and write the lock files
	UV=$(CURDIR)/$< ./requirements/lock.sh
	for folder in tests/external/node bench/node; do \
		(cd $$folder && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund); done

.PHONY: clean
clean:  ## remove everything that can be made again
	rm -rf $(VENV) $(DONE) .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build tests/external/node/node_modules
	find gateway tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- how the pieces come to be; each leaves a stamp and runs again only when what it reads has changed

$(VENV)/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(DONE)/runtime: $(VENV)/pyvenv.cfg requirements/build.txt requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@mkdir -p $(DONE) && touch $@

$(DONE)/dev: $(DONE)/runtime requirements/dev.txt requirements/compile.txt
	$(PIP) install --require-hashes -r requirements/dev.txt -r requirements/compile.txt
	@mkdir -p $(DONE) && touch $@

# In a tree of its own: the build hook leaves its objects beside the sources, where Python would prefer them.
$(DONE)/compiled.done: $(DONE)/apt-compile $(DONE)/dev $(shell find gateway -name '*.py') pyproject.toml requirements/mypyc.ini
	rm -rf $(DONE)/compiled && mkdir -p $(DONE)/compiled
	cp -r gateway requirements pyproject.toml README.md LICENSE $(DONE)/compiled
	cd $(DONE)/compiled && HATCH_BUILD_HOOKS_ENABLE=1 $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/dist
	@touch $@

$(DONE)/sslyze.done: requirements/sslyze.txt
	rm -rf $(DONE)/sslyze && $(PYTHON) -m venv $(DONE)/sslyze
	$(DONE)/sslyze/bin/python -m pip --disable-pip-version-check --quiet --no-input install --require-hashes -r requirements/sslyze.txt
	@touch $@

$(DONE)/aws.done: requirements/aws.txt
	rm -rf $(DONE)/aws && $(PYTHON) -m venv $(DONE)/aws
	$(DONE)/aws/bin/python -m pip --disable-pip-version-check --quiet --no-input install --require-hashes -r requirements/aws.txt
	@touch $@

$(DONE)/bao.done: requirements/bao.txt
	rm -rf $(DONE)/bao && $(PYTHON) -m venv $(DONE)/bao
	$(DONE)/bao/bin/python -m pip --disable-pip-version-check --quiet --no-input install --require-hashes -r requirements/bao.txt
	@touch $@

$(DONE)/mcp.done: requirements/mcp.txt
	rm -rf $(DONE)/mcp && $(PYTHON) -m venv $(DONE)/mcp
	$(DONE)/mcp/bin/python -m pip --disable-pip-version-check --quiet --no-input install --require-hashes -r requirements/mcp.txt
	@touch $@

$(DONE)/node: tests/external/node/package.json tests/external/node/package-lock.json
	@command -v npm >/dev/null || { echo 'npm is needed (Node.js 20 or later)' >&2; exit 1; }
	cd tests/external/node && npm ci --ignore-scripts --no-audit --no-fund
	@mkdir -p $(DONE) && touch $@

$(DONE)/uv/bin/uv:
	$(PYTHON) -m venv $(DONE)/uv
	$(DONE)/uv/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)

# Installs the Debian packages of $(1) whose command of the same name is missing.
define apt
	@missing=(); for name in $(1); do command -v $$name >/dev/null || missing+=($$name); done; \
	if (( $${#missing[@]} )); then \
		$(SUDO) apt-get update -qq; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$${missing[@]}"; \
	fi
	@mkdir -p $(DONE) && touch $@
endef

$(DONE)/apt-test:
	$(call apt,redis-server haproxy $(if $(wildcard /usr/lib/postgresql/*/bin/postgres),,postgresql))

# Python.h comes with a Python that was built here; Debian keeps its own Python's in a package apart.
HEADERS = $(shell $(PYTHON) -c 'import pathlib, sys, sysconfig; print("" if pathlib.Path(sysconfig.get_path("include"), "Python.h").exists() \
	else "python{}.{}-dev".format(*sys.version_info))')

$(DONE)/apt-compile:
	$(call apt,gcc $(if $(wildcard /usr/include/stdio.h),,libc6-dev) $(HEADERS))

# Any Chromium will do: see NAMES in tests/external/chromium.py.
$(DONE)/apt-browser: $(DONE)/apt-test $(DONE)/apt-compile
	$(call apt,$(if $(shell command -v chromium-browser google-chrome google-chrome-stable),,chromium))

$(DONE)/apt-bench:
	$(call apt,nginx wrk redis-server gcc $(if $(wildcard /usr/include/stdio.h),,libc6-dev))

# The rivals of `make bench`, each in an environment of its own. One that cannot be installed is left out of the tables.

$(DONE)/apt-rivals:
	-$(call apt,haproxy caddy)

$(DONE)/bench/node.done: bench/node/package.json bench/node/package-lock.json
	@rm -rf $(DONE)/bench/node && mkdir -p $(DONE)/bench/node && cp $^ $(DONE)/bench/node
	@if (cd $(DONE)/bench/node && npm ci --ignore-scripts --no-audit --no-fund); then touch $@; else echo 'http-proxy is left out' >&2; fi

# The gateway as a release is installed: its wheel, on the distribution's Python where there is one of the same version, since
# that, like the images', is built with optimisations that a Python built by hand mostly lacks.
$(DONE)/bench/gateway.done: $(DONE)/compiled.done requirements/runtime.txt
	@rm -rf $(DONE)/bench/gateway && mkdir -p $(DONE)/bench && $(BENCH_PYTHON) -m venv --without-pip $(DONE)/bench/gateway
	$(PIP) --python $(DONE)/bench/gateway/bin/python install --require-hashes -r requirements/runtime.txt
	$(PIP) --python $(DONE)/bench/gateway/bin/python install --no-deps dist/latchgate-*-$(shell $(PYTHON) -c 'import sys; print("cp%d%d" % sys.version_info[:2])')-*.whl
	@touch $@

$(DONE)/bench/%.done: requirements/rivals/%.txt
	@rm -rf $(DONE)/bench/$* && mkdir -p $(DONE)/bench && $(PYTHON) -m venv $(DONE)/bench/$*
	@if $(DONE)/bench/$*/bin/python -m pip --disable-pip-version-check --quiet --no-input install --require-hashes -r $<; \
	then touch $@; else rm -rf $(DONE)/bench/$*; echo '$* is left out' >&2; fi
