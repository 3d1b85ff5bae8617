# Every target does its own set-up. `make help` lists them.

SHELL       := /bin/bash
.DEFAULT_GOAL := help
GOLANGCI    := .tools/golangci-lint-v2.15.0
GOFUMPT     := .tools/gofumpt-v0.12.0
COMMIT      := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS     := -X shakedown/internal/version.commit=$(COMMIT)
TESTFLAGS   ?=

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: setup-run build ## run one striking experiment on real PostgreSQL and Redis, and write its report
	@bin/shakedown run cache/aside/stampede --quick; code=$$?; \
	  if [ $$code -gt 1 ]; then exit $$code; fi

.PHONY: build
build: ## build bin/shakedown
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/shakedown ./cmd/shakedown

.PHONY: test
test: setup build ## run every test
	go test -count=1 -timeout 20m $(TESTFLAGS) ./...

# Not of cmd/shakedown, whose tests drive a program that is built without the detector, nor of internal/stack, whose tests wait for
# servers: what starts them is in the tests of bench/run and of every pattern too.
.PHONY: race
race: setup build ## run the tests under the race detector
	go test -count=1 -race -timeout 30m $(TESTFLAGS) $$(go list ./... | grep -vxE 'shakedown/(cmd/shakedown|internal/stack)')

KILLS ?= 50
.PHONY: kill-test
kill-test: setup ## kill -9 runs at KILLS random moments (50), and look for what is left
	SHAKEDOWN_KILLS=$(KILLS) go test -count=1 -timeout 60m -run TestKillingARunLeavesNothing -v ./cmd/shakedown

.PHONY: bench-load
bench-load: build ## measure the generator beside its peers, and write docs/benchmarks/load.md
	@scripts/bench-load

.PHONY: bench-chaos
bench-chaos: ## measure the fault proxy beside its peers, and write docs/benchmarks/chaos.md
	@scripts/bench-chaos

.PHONY: bench-disk
bench-disk: setup-run ## measure what a disk of its own costs a server
	@scripts/bench-disk

.PHONY: check
check: setup build lint race stale ## everything that must be clean before a commit

.PHONY: lint
lint: $(GOLANGCI) $(GOFUMPT) ## gofumpt, go vet and golangci-lint
	@out=$$($(GOFUMPT) -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofumpt'ed; run make fmt:"; echo "$$out"; exit 1; fi
	go vet ./...
	$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOFUMPT) ## format the code
	$(GOFUMPT) -w $$(git ls-files '*.go')

.PHONY: docs
docs: build ## render what is rendered from the registry
	bin/shakedown docs docs

.PHONY: stale
stale: build ## fail when rendered docs are not up to date
	@tmp=$$(mktemp -d) && trap 'rm -rf $$tmp' EXIT && bin/shakedown docs $$tmp && \
	  diff -r docs/catalog $$tmp/catalog && diff -r docs/cli $$tmp/cli || { echo "docs are stale; run make docs"; exit 1; }

.PHONY: setup setup-run
setup: ## install what is missing: PostgreSQL, Redis, Prometheus, Chromium, Node.js (Debian and Ubuntu; elsewhere it says what)
	@scripts/setup test
setup-run:
	@scripts/setup run

.PHONY: clean
clean: ## remove what was built, and what a killed run left
	@[ ! -x bin/shakedown ] || bin/shakedown clean
	rm -rf bin .tools

$(GOLANGCI):
	@echo "installing golangci-lint (once)"; mkdir -p .tools
	@GOBIN=$(CURDIR)/.tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 && mv .tools/golangci-lint $@

$(GOFUMPT):
	@mkdir -p .tools
	@GOBIN=$(CURDIR)/.tools go install mvdan.cc/gofumpt@v0.12.0 && mv .tools/gofumpt $@
