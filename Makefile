# `make` lists what there is to do; each target does its own set-up.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench fuzz year

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need (Debian, Ubuntu)
	@scripts/setup.sh test

demo: ## flights, enriched live: needs no Kafka
	@scripts/setup.sh build
	@cargo run --bin kaflowsql -- demo

test: setup ## all tests
	@cargo test --workspace

check: ## formatting and lints
	@scripts/setup.sh build
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

bench: ## benchmarks, beside the last recorded figures (SAVE=1 records these)
	@scripts/setup.sh build
	@cargo bench --workspace
	@python3 scripts/bench.py $(if $(SAVE),--save)

fuzz: ## look for input that breaks the decoder, the front ends or the joins: 10 minutes each
	@scripts/setup.sh build
	@scripts/fuzz.sh $(TARGET)

year: setup ## the year of flights through `invoke`, against DuckDB row for row
	@scripts/year.sh
