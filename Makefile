# Everything by hand and on CI. `make test` is what a change must pass.
export GOFLAGS = -trimpath -buildvcs=auto
export CGO_ENABLED = 0
GO      ?= go
TOOL     = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 20s
PLATFORMS ?= linux/amd64 linux/arm64
PACKAGES = $$($(GO) list ./... )
RACE     = $$($(GO) list ./... | grep -v /test/)

.PHONY: test deps build fmt lint generate units race fuzz quickstart dist bench vuln deadcode clean

test: deps build fmt lint generate units race

deps:
	@scripts/deps.sh

build:
	$(GO) build -o bin/sluice ./cmd/sluice

fmt:
	@test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)" || { echo "run: $(TOOL) gofumpt -w ."; exit 1; }
	@$(GO) fix -diff ./...
	@$(GO) mod tidy -diff

lint:
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck -ignoretests -exclude tools/errcheck.txt ./...
	$(TOOL) unparam ./...

generate:
	@scripts/generate.sh

units: build
	$(GO) test -short $(PACKAGES)

race:
	CGO_ENABLED=1 $(GO) test -race -short $(RACE)

fuzz:
	@scripts/fuzz.sh $(FUZZTIME)

quickstart: build
	bin/sluice quickstart

dist: build
	@scripts/dist.sh $(PLATFORMS)

bench: build
	$(GO) test -count=1 -run '^TestFigures$$' -v ./test/integration -figures

vuln:
	$(TOOL) govulncheck $(if $(VULNDB),-db file://$(VULNDB)) ./...

deadcode:
	$(TOOL) deadcode -test ./...

clean:
	rm -rf bin dist
