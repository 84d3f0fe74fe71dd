# The commands of the README; `make help` lists them.
# The path of a checkout may contain spaces: only relative paths here.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fresh stack-mailcow stack-mailcow-down clean
export KEEP PYTEST_ARGS

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 21

setup: ## install everything that the other targets need
	@tools/setup test

demo: ## lose mail and bring it back, on a sample tree (KEEP=1 leaves it running)
	@tools/setup run
	@.venv/bin/python -m tools.demo

test: ## run the whole test suite; a skipped test fails it
	@tools/setup test
	@tools/docker engine >/dev/null
	@.venv/bin/python -m tests.stacks.mailcow images # no test has the time to wait for them
	@.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -p tools.no_skips $$PYTEST_ARGS

check: ## format, lint, types, layers, lock file
	@tools/setup check
	@tools/check

fresh: ## run demo twice in a bare Debian 12 and a bare Debian 13 (needs root and Docker)
	@tools/fresh

stack-mailcow: ## run the mailcow of the tests, with some mail to try things on (needs root)
	@tools/setup test
	@.venv/bin/python -m tests.stacks.mailcow up

stack-mailcow-down: ## remove what stack-mailcow made
	@.venv/bin/python -m tests.stacks.mailcow down

clean: ## remove what the other targets made, except the configuration and data of .mailrewind
	@tools/docker clean
	rm -rf .venv .cache .mailrewind/demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
