# Two commands on a fresh machine: `make demo` and `make test`. They need the Rust toolchain
# and a C compiler; nothing is downloaded but from the package registries.

CARGO ?= cargo
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
DATA ?=
# What the tests have built.
PROGRAM := $(or $(CARGO_TARGET_DIR),target)/debug/contexture

.PHONY: demo test test-with-services test-clients check bench model build

## Builds, ingests the project's documents into a temporary collection, asks one question.
## The embedded stack alone, optimised only where it multiplies, so that it builds sooner.
demo:
	$(CARGO) run --profile demo --locked --no-default-features --bin contexture -- demo

## The program, optimised, with the production engines.
build:
	$(CARGO) build --release --locked --bin contexture

## Every test: unit, integration, crash, layers, the clients, MCP's official SDKs, the OpenAPI description.
## RabbitMQ and Postgres are used where they run, and started where they do not; Python and Node likewise.
test:
	scripts/with-services.sh $(MAKE) --no-print-directory test-with-services

test-with-services:
ifdef NEXTEST
	$(CARGO) nextest run --locked --no-fail-fast
else
	$(CARGO) test --locked --no-fail-fast
endif
	$(CARGO) test --locked --doc
	scripts/test-clients.sh $(PROGRAM)
	scripts/test-mcp.sh $(PROGRAM)
	scripts/test-openapi.sh $(PROGRAM)

## Builds, installs and tests the packages of clients/ against the program. Needs Python 3.11 and Node 18.17,
## and installs them from Debian's packages where they are not.
test-clients:
	# Builds the program as `make test` does, so that nothing is built twice.
	$(CARGO) test --locked --no-run --test layers
	scripts/test-clients.sh $(PROGRAM)

## Format, lints, layers.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) check --locked --no-default-features --bin contexture
	$(CARGO) test --locked --test layers

## Speed and memory, as ratios measured side by side. DATA=DIR names evaluation sets. The last three
## need a RabbitMQ, the last one a Postgres, too.
bench:
	$(CARGO) bench --locked --bench chunking -- $(if $(DATA),$(DATA)/chroma-dev/corpora)
	$(CARGO) bench --locked --bench assemble
	$(CARGO) bench --locked --bench pipeline
	$(CARGO) bench --locked --bench query
	$(CARGO) bench --locked --bench extract
	$(CARGO) bench --locked --bench doors
	$(CARGO) bench --locked --bench backfill
	$(CARGO) bench --locked --bench amqp
	$(CARGO) bench --locked --bench amqp -- --embed-workers
	$(CARGO) bench --locked --bench providers

## all-MiniLM-L6-v2 as a package, for pipelines/minilm.toml.
model:
	sh scripts/fetch-model.sh
