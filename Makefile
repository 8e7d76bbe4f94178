# Two commands matter: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: install run test scenarios federation interop demo-regions same-view simulate simulate-whole check bench bench-live bench-rooms bench-sync bench-devices bench-sender lock clean browser

install: $(VENV)/.installed

$(VENV)/.installed: requirements/server.txt requirements/dev.txt pyproject.toml setup.cfg
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned dependencies into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/server.txt -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv-interop/.installed: requirements/interop.txt
	@test -x .venv-interop/bin/python || $(PYTHON) -m venv .venv-interop
	@.venv-interop/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/interop.txt
	@touch $@

.venv-synapse/.installed: requirements/interop-synapse.txt
	@test -x .venv-synapse/bin/python || $(PYTHON) -m venv .venv-synapse
	@.venv-synapse/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/interop-synapse.txt
	@touch $@

JS := tests/scenarios/js
$(JS)/node_modules/.installed: $(JS)/package-lock.json .venv-interop/.installed
	@cd $(JS) && PATH="$(CURDIR)/.venv-interop/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

run: install
	@exec $(BIN)/homeserver run $(ARGS)

# As many at once as there are cores, each process with a PostgreSQL of its own; ARGS="-n0" for one after the other.
test: install
	$(BIN)/pytest -n logical --maxprocesses 8 --dist worksteal --ignore=tests/scenarios --ignore=tests/simulation $(ARGS)

# Whole servers as processes of their own, clients that we did not write, and servers to which all goes wrong.
scenarios: install .venv-interop/.installed $(JS)/node_modules/.installed
	$(BIN)/pytest tests/scenarios tests/simulation --ignore=$(BROWSER) --ignore=$(FEDERATION) $(ARGS)

# Several servers of ours, and what a hostile one can do to them.
FEDERATION := tests/scenarios/federation
federation: install .venv-interop/.installed
	$(BIN)/pytest $(FEDERATION) $(ARGS)

# Three servers of one organisation on this machine, and what their users see. ARGS=--once ends it by itself.
demo-regions: install
	@$(BIN)/python -m clients.demo.regions $(ARGS)

# One of ours and a Synapse: who makes the room, and who joins it. PAIRS=synapse-synapse proves the tests themselves.
PAIRS ?= ours-synapse,synapse-ours
interop: install .venv-interop/.installed .venv-synapse/.installed
	FEDERATION_PAIRS=$(PAIRS) $(BIN)/pytest -m interop $(FEDERATION) $(ARGS)

same-view: install .venv-interop/.installed $(JS)/node_modules/.installed
	@SAME_VIEW_SEEDS=$(or $(SEEDS),20) SAME_VIEW_FIRST=$(or $(FIRST),1) \
	  $(BIN)/pytest -q -p no:randomly tests/scenarios/test_same_view.py $(ARGS)

# The order of sets must not depend on the run, so that a seed is the same world each time.
simulate: install
	@PYTHONHASHSEED=0 SIMULATE_SEEDS=$(or $(SEEDS),100) SIMULATE_FIRST=$(or $(FIRST),1) \
	  $(BIN)/pytest -q -p no:randomly tests/simulation/test_seeds.py -k agree $(ARGS)

# The same with whole servers that talk with each other as they do over the wire.
simulate-whole: install
	@SIMULATE_SEEDS=$(or $(SEEDS),100) SIMULATE_FIRST=$(or $(FIRST),1) \
	  $(BIN)/pytest -q -p no:randomly tests/simulation/whole $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -p no:randomly tests/tidy

bench: install
	$(BIN)/homeserver load --fresh $(ARGS)
	$(BIN)/python -m tests.benchmarks.state_resolution
	$(MAKE) bench-rooms ARGS=

# What clients cost that are only connected, and what a message costs in a room where many are.
bench-live: install
	@for transport in websocket long-poll; do \
	  for clients in 1000 5000; do \
	    $(BIN)/homeserver load --fresh --scenario idle --clients $$clients --transport $$transport $(ARGS) || exit 1; \
	  done; \
	  $(BIN)/homeserver load --fresh --scenario large-room --transport $$transport || exit 1; \
	  $(BIN)/homeserver load --fresh --rate 200 --transport $$transport || exit 1; \
	done

# Both are measured, also if the first misses its goal.
bench-sync: install
	@$(BIN)/python -m tests.benchmarks.initial_sync; missed=$$?; \
	  $(BIN)/python -m tests.benchmarks.sliding_window && exit $$missed

bench-devices: install
	$(BIN)/python -m tests.benchmarks.to_device

# What sending to other servers costs, without TLS.
bench-sender: install
	$(BIN)/python -m tests.benchmarks.federation_sender

# Two processes, with TLS between them.
bench-federation: install
	$(BIN)/python -m tests.benchmarks.federation $(ARGS)

bench-rooms: install
	$(BIN)/python -m tests.benchmarks.large_rooms $(ARGS)

BROWSER := tests/scenarios/browser
NODE := PATH="$(CURDIR)/.venv-interop/bin:$$PATH"
$(BROWSER)/node_modules/.installed: $(BROWSER)/package-lock.json $(BROWSER)/unpack.mjs | .venv-interop/.installed
	@cd $(BROWSER) && $(NODE) npm ci --silent --no-audit --no-fund --ignore-scripts && $(NODE) node unpack.mjs
	@touch $@

build/hydrogen/index.html: $(wildcard $(BROWSER)/hydrogen/*) $(BROWSER)/node_modules/.installed
	@cd $(BROWSER) && $(NODE) npm run --silent build

# All that happens in Chromium. SCREENSHOTS=DIRECTORY says where what it showed is kept.
browser: install $(BROWSER)/node_modules/.installed build/hydrogen/index.html
	$(BIN)/pytest $(BROWSER) $(ARGS)

lock:
	cd requirements && for set in server dev interop interop-synapse; do \
	  pip-compile --quiet --no-emit-find-links --generate-hashes --strip-extras --allow-unsafe $$set.in -o $$set.txt || exit 1; done

clean:
	rm -rf $(VENV) .venv-interop .venv-synapse build .mypy_cache .ruff_cache .pytest_cache
