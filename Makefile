# make help lists the targets. Everything that is built lands in out/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/.venv/bin
VENV    := .venv/stepbench-setup
STAGES  := build/setup/stages.sh
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# purego loads the shim, but go-nvml is cgo. It leaves NVML's symbols open until
# they are called: a linker that binds eagerly would end the program at start on
# a machine without the driver.
export CGO_ENABLED := 1
# go-nvml binds functions that the headers mark as deprecated.
export CGO_CFLAGS := -O2 -g -Wno-deprecated-declarations
GO_LINK := -extldflags=-Wl,-z,lazy
GOTEST  := go test -ldflags "$(GO_LINK)"

# Folders with our own sources.
SOURCES := $(filter-out out/ models/ results/ variants/,$(wildcard */))
SCRIPTS := .ci/run $(shell find $(SOURCES) -name '*.sh')

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
PIP_AUDIT   := pip-audit@2.10.1

CMAKE := $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja -DPython3_EXECUTABLE=$(BIN)/python --log-level=NOTICE

.PHONY: help setup lock build shim binary model vllm-source nvcc ray bench bench-run test test-shim test-go test-race \
	test-checkptr test-readers test-ray test-vllm test-slow test-parallel test-kill faults soak fuzz audit race check vet lint lint-go lint-python lint-c lint-shell fmt fmt-check clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

## set-up and build

setup: ## .venv with Python, vLLM and the build tools, from the lock; does nothing the second time
	@build/setup/setup.sh

$(VENV): requirements/cpu.txt requirements/cuda.txt build/setup/setup.sh
	@build/setup/setup.sh

lock: $(VENV) ## write requirements/cpu.txt, cuda.txt, nvcc.txt, readers.txt and ray.txt again from the *.in files (LOCK_FLAGS=--upgrade for newer versions)
	@for device in cpu cuda nvcc readers ray; do \
	  echo "lock: requirements/$$device.txt"; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes $(LOCK_FLAGS) \
	    --override requirements/overrides.txt --custom-compile-command 'make lock' \
	    --output-file requirements/$$device.txt requirements/$$device.in; \
	done

build: ## set up, then build out/libstepbench.so and out/stepbench
	+@$(STAGES) "make build" setup shim binary

shim: $(VENV)
	@$(CMAKE) -B out/cmake
	@$(BIN)/cmake --build out/cmake

# The version comes from git describe alone, so a checkout that git distrusts still builds.
binary:
	go build -buildvcs=false -ldflags "-X main.version=$(VERSION) $(GO_LINK)" -o out/stepbench ./cmd/stepbench
	go build -buildvcs=false -buildmode=c-shared -o out/libstepbench-worker.so ./cmd/stepbench-worker
	rm -f out/libstepbench-worker.h

model: $(VENV) ## real SmolLM2-135M-Instruct in models/smollm2-135m-instruct
	@build/model/fetch.sh

vllm-source: $(VENV) ## the vLLM source tree that the installed vLLM was built from, in out/vllm-source
	@build/setup/vllm-source.sh

nvcc: .nvcc/stepbench-nvcc ## the CUDA compiler from PyPI in .nvcc, for machines without a CUDA toolkit; needs no GPU
	@echo "nvcc: $$(.nvcc/nvidia/cu13/bin/nvcc --version | sed -n 's/.*release.*, V/nvcc /p') in .nvcc"

# A folder of its own: .venv stays what its lock says. The last file marks a finished one.
.nvcc/stepbench-nvcc: requirements/nvcc.txt | $(VENV)
	@echo "nvcc: download and unpack the packages of $<, about 110 MB"
	@rm -rf .nvcc
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes --target .nvcc -r $<
	@cp $< $@

# As .nvcc: packages beside .venv, not in it.
.readers/stepbench-readers: requirements/readers.txt | $(VENV)
	@echo "readers: download and unpack the packages of $<, about 130 MB"
	@rm -rf .readers
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes --target .readers -r $<
	@cp $< $@

ray: .ray/stepbench-ray ## Ray from PyPI in .ray, for stepbench batch --ray
	@echo "ray: $$(.ray/bin/ray --version) in .ray"

# A virtual environment of its own: Ray's processes start its python. Without compiled bytecode a
# node's agents start too late for it on a busy machine.
.ray/stepbench-ray: requirements/ray.txt | $(VENV)
	@echo "ray: download and unpack the packages of $<, about 80 MB"
	@rm -rf .ray
	@$(BIN)/uv venv --quiet --python $(BIN)/python .ray
	@$(BIN)/uv pip sync --quiet --python .ray/bin/python --require-hashes --compile-bytecode $<
	@cp $< $@

## run and test

bench: ## build, then run the quick suite with real vLLM: every axis of the analysis, and its report
	+@$(STAGES) "make bench" setup shim binary bench-run

bench-run:
	out/stepbench run quick

test: ## build, check and run all tests, real vLLM included
	+@$(STAGES) "make test" setup shim binary model check test-shim test-go test-race test-checkptr test-readers test-ray test-vllm

test-shim: $(VENV)
	@$(CMAKE) -B out/cmake-asan -DSTEPBENCH_ASAN=ON
	@$(BIN)/cmake --build out/cmake-asan
	$(BIN)/ctest --test-dir out/cmake-asan --output-on-failure --no-tests=error

test-go: shim
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) ./...

race: test-race ## Go tests under the race detector

test-race: shim
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) -race ./...

# The packages that read memory which C owns.
test-checkptr: shim
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) -gcflags=all=-d=checkptr ./bridge/... ./engine/...

test-readers: .readers/stepbench-readers ## open Parquet output with DuckDB, pandas and Polars
	PYTHONPATH=$(CURDIR)/.readers STEPBENCH_READERS_PYTHON=$(BIN)/python \
	  $(GOTEST) -tags integration -count=1 -run TestReaders ./bench/batch/output

test-ray: shim .ray/stepbench-ray ## a batch on a Ray cluster of two nodes, one of which is killed
	STEPBENCH_REQUIRE_SHIM=1 STEPBENCH_RAY_PYTHON=$(CURDIR)/.ray/bin/python \
	  $(GOTEST) -tags integration -count=1 -timeout 5m -run TestBatchOnRay ./cmd/stepbench

# One package at a time: engines share the cores and the memory.
test-vllm: shim binary vllm-source nvcc
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) -tags integration -count=1 -p 1 -timeout 40m ./build/... ./engine/... ./cmd/...

test-slow: shim binary model vllm-source ## 300 chats through every form of a batch; comparisons of attention, from its source and from a header: minutes of compiling
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) -tags integration,slow -count=1 -timeout 60m -run 'TestBatchForms|TestABOfAttention' -v ./cmd/stepbench

test-parallel: shim binary vllm-source ## models spread over CPU ranks: tokens, metrics, variants and figures, and what is left after a kill
	STEPBENCH_REQUIRE_SHIM=1 $(GOTEST) -tags integration,parallel -count=1 -timeout 40m -run 'Parallel|VariantInEveryRank' -v ./cmd/stepbench

test-kill: shim binary ## batches killed 500 times with a stand-in for vLLM, and 60 times with vLLM itself
	STEPBENCH_REQUIRE_SHIM=1 STEPBENCH_KILLS=500 $(GOTEST) -tags integration -count=1 -timeout 60m -run TestBatchSurvivesKills -v ./cmd/stepbench
	STEPBENCH_REQUIRE_SHIM=1 STEPBENCH_KILLS=60 STEPBENCH_KILL_VLLM=1 $(GOTEST) -tags integration -count=1 -timeout 120m -run TestBatchSurvivesKills -v ./cmd/stepbench

faults: shim binary ## what breaks, broken on purpose with real vLLM, and the table of it (FAULTS=part of a name for some of it)
	STEPBENCH_REQUIRE_SHIM=1 STEPBENCH_FAULTS="$(or $(FAULTS),all)" STEPBENCH_FAULTS_OUT=$(if $(FAULTS),,$(CURDIR)/docs/reliability/faults.md) \
	  $(GOTEST) -tags integration -count=1 -timeout 60m -run 'TestFaults$$' -v ./cmd/stepbench

soak: shim binary ## an hour of A/B quads, then a batch of 100,000 rows: nothing may grow (STEPBENCH_SOAK_SECONDS, _ROWS; _OUT=DIR for tables and figures)
	STEPBENCH_REQUIRE_SHIM=1 STEPBENCH_SOAK_OUT=$(abspath $(STEPBENCH_SOAK_OUT)) \
	  $(GOTEST) -tags integration,soak -count=1 -timeout 4h -run TestSoak -v ./cmd/stepbench

fuzz: ## all fuzz targets, one after the other, and a table of them (FUZZTIME=10m for each, FUZZ=part of a name for some)
	@build/setup/fuzz.sh

## source

check: fmt-check vet lint ## formatting, go vet and all linters

vet:
	go vet ./...
	go vet -tags integration,slow,parallel,soak,gpu ./...

lint: lint-go lint-python lint-c lint-shell ## staticcheck, ruff, gcc -fanalyzer, cppcheck; shellcheck where installed

lint-go:
	go run $(STATICCHECK) -tags integration,slow,parallel,soak,gpu ./...

lint-python: $(VENV)
	$(BIN)/ruff check --quiet .

lint-c: $(VENV)
	@build/setup/lint-c.sh $(BIN)/python

# Asks the databases of vulnerabilities over the network, which check does without.
audit: $(VENV) ## known vulnerabilities of the Go modules that are called and of the locked Python packages
	go run $(GOVULNCHECK) ./...
	@for lock in $(wildcard requirements/*.txt); do \
	  echo "audit: $$lock"; $(BIN)/uv tool run $(PIP_AUDIT) --strict --progress-spinner off --disable-pip --require-hashes --requirement $$lock; \
	done

lint-shell:
	@if type -P shellcheck >/dev/null; then \
	  shellcheck -x $(SCRIPTS); echo "lint-shell: shellcheck passed"; \
	else \
	  for script in $(SCRIPTS); do bash -n $$script; done; echo "lint-shell: no shellcheck here, syntax only"; \
	fi

fmt: $(VENV) ## format Go and Python
	gofmt -w $(SOURCES)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --exit-zero --quiet .

fmt-check: $(VENV)
	@unformatted=$$(gofmt -l $(SOURCES)); \
	[ -z "$$unformatted" ] || { printf 'not formatted, run make fmt:\n%s\n' "$$unformatted"; exit 1; }
	$(BIN)/ruff format --check --quiet .

clean: ## remove out/; keeps .venv, models/ and results/
	rm -rf out

distclean: clean ## remove .venv, .python/, .nvcc, .ray and models/ too
	rm -rf .venv .python .nvcc .ray models
