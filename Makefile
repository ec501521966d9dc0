.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
PORT ?= 4590
WORKERS ?= 3  # of pytest: many tests wait for kernels and commands, so one more than two cores
STAND_IN := $(BIN)/python -m local_aws --port $(PORT) $(addprefix --weather=,$(WEATHER))
# rehearsals and tests start hundreds of processes, which find every module compiled
export PYTHONDONTWRITEBYTECODE :=
# the administrator makes the operator's role, once; everything else is the operator's work
AS_OPERATOR = exports="$$($(STAND_IN) up)" && eval "$$exports" && $(BIN)/lakebook bootstrap parameters/rehearsal.yaml \
	&& export AWS_CONFIG_FILE=$(CURDIR)/parameters/rehearsal.aws AWS_PROFILE=operator

.PHONY: help rehearse plan quick test conformance fix bench scan lab down lock

help:  ## show these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

rehearse: .venv/installed  ## take the demo database through all phases on this machine
	@$(AS_OPERATOR) && $(BIN)/lakebook apply parameters/rehearsal.yaml
	@echo "The stand-in is still running at port $(PORT): make lab opens the notebooks on it, make down stops it."

plan: .venv/installed  ## list the calls that a rehearsal would still make
	@$(AS_OPERATOR) && $(BIN)/lakebook plan parameters/rehearsal.yaml

lab: .venv/installed  ## JupyterLab on the stand-in
	@$(AS_OPERATOR) && $(BIN)/jupyter lab --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks

down: .venv/installed  ## stop the stand-in and its PostgreSQL
	@$(STAND_IN) down

quick: .venv/installed  ## lint, types, and all tests that start no JVM and no rehearsal
	$(call checked,-m "not (jvm or rehearsal)")

test: .venv/installed  ## all tests and checks, on real engines of their own
	$(call checked)

# types are checked beside the tests, and the tests' summary comes last
define checked
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	@said=$$(mktemp); $(BIN)/mypy > $$said 2>&1 & types=$$!; \
	$(BIN)/pytest -n $(WORKERS) $(1); tests=$$?; \
	wait $$types || { cat $$said; tests=1; }; rm $$said; exit $$tests
endef

conformance: .venv/installed  ## ask a sandbox account of AWS what only it can answer: ACCOUNT=, REGION=, COST=free|cents|dollars, USD=, for DMS SECRET=, SUBNETS=
	$(BIN)/python tests/conformance --account "$(ACCOUNT)" --region "$(REGION)" --cost $(or $(COST),free) --spend-at-most $(or $(USD),0) --source-secret "$(SECRET)" --subnet-ids "$(SUBNETS)"

fix: .venv/installed  ## format, and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/installed .venv-bench/installed  ## speed and memory against bare engines and dlt, as ratios
	$(BIN)/python -m bench

scan: .venv/installed .venv-scan/installed  ## prowler over what a rehearsal has made; fails on anything high that scan/mutelist.yaml does not explain
	@exports="$$($(STAND_IN) up)" && eval "$$exports" && .venv-scan/bin/prowler aws --no-banner --region $$AWS_REGION --severity critical high \
		--services athena cloudtrail cloudwatch dms ec2 eventbridge glue iam kms s3 secretsmanager sns vpc \
		--mutelist-file scan/mutelist.yaml -M csv -o outputs/scan

lock:  ## pin what pip installs now
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet "setuptools>=77" && .venv-lock/bin/pip install --quiet ".[local,lab,test]"
	echo "# What pip installs for the rehearsal, the lab and the tests; made by make lock." > requirements.lock
	.venv-lock/bin/pip freeze --exclude lakebook --exclude-editable >> requirements.lock
	rm -rf .venv-lock build

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "setuptools>=77" wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv-scan/installed: scan/requirements.lock
	$(PYTHON) -m venv .venv-scan
	.venv-scan/bin/pip install --quiet --disable-pip-version-check -r scan/requirements.lock
	@touch $@

.venv-bench/installed: bench/requirements.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.lock
	@touch $@
