.DEFAULT_GOAL := help
SHELL := /bin/bash

# Everything is built into bin/; `make clean` removes it.
GO ?= go
export CGO_ENABLED ?= 0

include sam.mk

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the command line and the example job into bin/
	@$(GO) build -trimpath -o bin/ ./cmd/spotbatch ./examples/wordcount

.PHONY: demo
demo: build ## Run the main job for real: Spot, interruption, on-demand
	@$(GO) run ./examples/demo

.PHONY: test
test: ## Run all tests, offline
	$(GO) test ./...

.PHONY: race
race: ## Run all tests under the race detector, shuffled
	CGO_ENABLED=1 $(GO) test -race -shuffle=on ./...

.PHONY: check
check: fmt-check lint tidy race ## Before every commit: fmt-check, lint, tidy, race

.PHONY: fmt
fmt: ## Format the code
	$(GO) tool gofumpt -w .

.PHONY: fmt-check
fmt-check: ## Fail on code that is not formatted
	@unformatted=$$($(GO) tool gofumpt -l .); [ -z "$$unformatted" ] || { echo "run make fmt: $$unformatted"; exit 1; }

.PHONY: lint
lint: ## go vet (also for macOS) and staticcheck with all checks
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) tool staticcheck -checks all ./...
	$(GO) vet -tags integration ./integration
	$(GO) tool staticcheck -tags integration -checks all ./integration

.PHONY: tidy
tidy: ## Fail if go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: validate
validate: ## Lint template.yaml, check what tests read of it; installs SAM
	@integration/install python
	@integration/template/run

.PHONY: integration
integration: ## All that needs DynamoDB Local, SQS, SAM or Docker; installs them
	@integration/run

.PHONY: sam-local
sam-local: ## Build with SAM and run a job through sam local invoke
	@integration/install dynamodb elasticmq python docker
	@integration/sam-local

.PHONY: sim
sim: ## Simulate SEEDS worlds (default 10000) from SEED (default 1)
	@$(GO) run ./internal/sim/cmd/sim -seed $${SEED:-1} -seeds $${SEEDS:-10000}

.PHONY: sim-guards
sim-guards: ## Take each guard out: some world must then fail
	@$(GO) test ./internal/sim -count=1 -run EachGuard -guards -v -timeout 30m

.PHONY: sim-storms
sim-storms: ## The storms at full size
	@$(GO) test ./internal/sim -count=1 -run 'Storm|Day|Hours|Poison' -full -v -timeout 30m

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside input, FUZZTIME each (default 10s)
	@for target in $$(grep -rl '^func Fuzz' --include='*_test.go' . | sort); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$target); do \
			echo "$$name in $$(dirname $$target)"; \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $${FUZZTIME:-10s} $$(dirname $$target) || exit 1; \
		done; done

.PHONY: bench-local
bench-local: build ## 1,000 jobs of `true` against GNU parallel and task-spooler
	@scripts/bench-local

.PHONY: bench
bench: bench-functions ## bench-functions, and the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchtime 2s ./...

.PHONY: cost
cost: ## What a million jobs cost, counted; fails above 10 dollars
	@$(GO) run ./internal/lambdatest/cost

.PHONY: bench-functions
bench-functions: ## Size, start and memory of the functions beside a bare one
	@scripts/bench-functions

.PHONY: clean
clean: ## Remove what was built; jobs in .spotbatch stay
	rm -rf bin .aws-sam
