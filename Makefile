# edgectl. Each target sets up what it needs by itself: a Python virtual environment in .venv from a hash-locked file, and what
# else has to be fetched in .cache. No root, nothing installed on the system.

PYTHON ?= python3
# make demo SECONDS=60 ends by itself; make test ARGS="-k outbox" is handed to pytest
SECONDS ?=
ARGS ?=
# Bytecode is written, whatever the machine says: hundreds of daemons are started by the tests, each would compile all of it again.
export PYTHONDONTWRITEBYTECODE =
UV = uv==0.13.9
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --exclude-newer "1 week" pyproject.toml

.PHONY: help demo test lint bench campaign lock clean

help:
	@echo "make demo    a depot in a box: the daemon, chargers, meters, a broker (SECONDS=60 ends it)"
	@echo "make test    all tests (ARGS=\"-k outbox\" for some)"
	@echo "make lint    format, lint, types, imports, the unit's exposure"
	@echo "make bench   the measurements"
	@echo "make campaign  100,000 charging histories, 1,000,000 mutated frames, 10,000 hostile commands, 1,000,000 meter reads, 2,000 faults of"
	@echo "               the uplink, 2,000 deaths, 1,000 power cuts; a slice of each is in make test"
	@echo "make lock    resolve pyproject.toml into the lock files anew, versions kept (UPGRADE=--upgrade for new ones)"
	@echo "make clean   remove what was fetched and made"

demo:
	@$(PYTHON) .ci/setup.py requirements.lock --program mosquitto
	@.venv/bin/python -m hwsim demo $(if $(SECONDS),--seconds $(SECONDS))

test:
	@$(PYTHON) .ci/setup.py requirements-dev.lock --program mosquitto --program postgres --library libmodbus
	@.venv/bin/python -m pytest --numprocesses 4 --dist worksteal $(ARGS)

lint:
	@$(PYTHON) .ci/setup.py requirements-dev.lock --program systemd-analyze
	@.venv/bin/python tests/check.py --without-tests

bench:
	@$(PYTHON) .ci/setup.py requirements-dev.lock --program mosquitto --program postgres
	@.venv/bin/python -m benchmarks $(ARGS)

campaign:
	@$(PYTHON) .ci/setup.py requirements-dev.lock --program mosquitto --program postgres
	@.venv/bin/python -m hwsim histories --count 100000
	@.venv/bin/python -m hwsim fuzz --frames 1000000
	@.venv/bin/python -m hwsim commands --count 10000
	@.venv/bin/python -m hwsim meters --transactions 1000000
	@.venv/bin/python -m hwsim uplink-faults --faults 2000 --records 100000
	@.venv/bin/python -m hwsim uplink-faults --faults 200 --daemon
	@.venv/bin/python -m hwsim crashes --count 2000 --sites 2
	@.venv/bin/python -m hwsim cuts --count 1000

# Versions younger than a week are passed over: most bad releases are found out by then.
lock:
	@$(PYTHON) .ci/setup.py requirements-dev.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(COMPILE) $(UPGRADE) --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --extra backend --constraints requirements.lock --output-file requirements-backend.lock
	$(COMPILE) $(UPGRADE) --extra backend --group dev --constraints requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv .cache dist demo-data .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find edgectl edgectl_backend hw-sim tests -name __pycache__ -type d -prune -exec rm -rf {} +
