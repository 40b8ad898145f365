# `make help` lists what there is. The two that a newcomer needs are
# `make demo` and `make test`; both do all the set-up themselves.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules
.DEFAULT_GOAL := help

GO       ?= go
VAGRANT  ?= vagrant
KERNELS  ?= 5.10 6.1 6.12 7
FUZZTIME ?= 1m
ROUNDS   ?= 20
SEED     ?= 1

# The same source gives the same bytes, and the binaries run on any Linux.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags=-buildid=

# Packages whose tests need the machine for themselves (real QEMU guests that
# burn CPU, measured by real eBPF): they run after the others, one at a time.
ALONE = ./bpf/... ./agent/libvirt/... ./cmd/evenkeel-lab/... ./cmd/internal/lab/...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## check for Go, install the Debian packages that building, demo and tests need
	@deploy/setup.sh build lab shared monitoring terminal vagrant

.PHONY: build
build: ## build bin/evenkeeld, bin/evenkeel, bin/evenkeel-lab and its guests' init
	@deploy/setup.sh build
	$(BUILD) -o bin/ ./cmd/evenkeeld ./cmd/evenkeel ./cmd/evenkeel-lab
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w -buildid=" -o bin/evenkeel-guest ./cmd/internal/lab/guest

.PHONY: demo
demo: ## build a fleet on this machine and watch a starved VM move by itself (root)
	@deploy/setup.sh build lab
	@$(MAKE) --no-print-directory build
	bin/evenkeel-lab demo

.PHONY: test
test: setup build vagrant-validate vet ## every test, the fleet included
	packages=$$($(GO) list ./... | grep -vxFf <($(GO) list $(ALONE))); \
	$(GO) test -race -timeout 20m $$packages
	$(GO) test -race -timeout 60m -p 1 -count=1 $(ALONE)

.PHONY: test-long
test-long: test ## also play 100 worlds of an hour, the slow faults, and fuzz every target for FUZZTIME (1m)
	EVENKEEL_SEEDS=100 $(GO) test -count=1 -timeout 60m ./cmd/internal/worlds -play 1h
	EVENKEEL_LONG=1 $(GO) test -count=1 -timeout 30m ./cmd/internal/lab/voters -run TestFault09
	EVENKEEL_LONG=1 EVENKEEL_REQUIRE=libvirt,qemu $(GO) test -count=1 -timeout 30m ./agent/libvirt -run TestFault38
	@deploy/setup.sh pacemaker
	EVENKEEL_REQUIRE=libvirt,qemu,pacemaker $(GO) test -count=1 ./agent/libvirt -run TestPacemakersVMsAreOwned
	EVENKEEL_LONG=1 EVENKEEL_REQUIRE=bpf,libvirt,qemu $(GO) test -count=1 -timeout 120m ./cmd/evenkeel-lab -run 'TestFault|TestLeaderKilled|TestTargetQEMU'
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
	    echo "$$target in $$(dirname "$$file")"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")"; \
	  done; \
	done

.PHONY: chaos
chaos: ## hurt a fleet at random while it balances, and judge it: ROUNDS=20 SEED=1 (root)
	@deploy/setup.sh build lab shared
	EVENKEEL_REQUIRE=bpf,libvirt,qemu $(GO) test -count=1 -v -timeout 12h ./cmd/evenkeel-lab -run TestChaos -rounds $(ROUNDS) -seed $(SEED)

.PHONY: test-vm
test-vm: ## run the tests of bpf/ on Debian's kernels in QEMU: KERNELS="5.10 6.1 6.12 7"
	@deploy/setup.sh build vm
	RECORD=$(RECORD) .ci/test-vm $(KERNELS)

.PHONY: vet
vet:
	$(GO) vet ./...
	$(GO) vet -tags evenkeel_next ./scheduler/cluster

.PHONY: bench
bench: build ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-bpf
bench-bpf: ## measure what the probes cost against bpftrace and libbpf-tools; QUICK=1 (root)
	@deploy/setup.sh build bench
	$(GO) run ./bpf/bench $(if $(QUICK),-quick)
	$(GO) run ./agent/bench $(if $(QUICK),-quick)
	@deploy/setup.sh lab
	@$(MAKE) --no-print-directory build
	$(GO) run ./cmd/internal/lab/bench $(if $(QUICK),-quick)

.PHONY: bench-consensus
bench-consensus: ## measure the control plane at 10, 100, 1000 hosts, and failovers; QUICK=1 (root)
	@deploy/setup.sh build
	$(GO) run ./cmd/evenkeeld/bench $(if $(QUICK),-quick)

.PHONY: bench-planner
bench-planner: ## measure the planner against its yardsticks and peers: PARTS=exact,hbal,demand,gmrp QUICK=1 LONG=1
	@deploy/setup.sh build planner
	$(GO) run ./scheduler/bench/planner $(if $(PARTS),-parts $(PARTS)) $(if $(QUICK),-quick) $(if $(LONG),-long)

.PHONY: bench-weeks
bench-weeks: ## play weeks of the public traces under every policy, held against the aims: QUICK=1 plays a day
	$(GO) run ./scheduler/bench/weeks $(if $(QUICK),-quick)

.PHONY: sim
sim: ## play the simulator's scenarios under several policies
	$(GO) run ./scheduler/bench/sim -story=false scheduler/bench/sim/scenarios/*.txt

.PHONY: lint
lint: ## run the linters on Go, shell and C
	@deploy/setup.sh lint
	$(GO) tool -modfile=.ci/tools.mod golangci-lint run ./...
	shellcheck .ci/run .ci/test-vm $$(git ls-files '*.sh')
	clang-format-19 --dry-run --Werror $$(git ls-files 'bpf/*.c' 'bpf/include/*.h')

.PHONY: fmt
fmt: ## format Go and C
	@deploy/setup.sh lint
	$(GO) tool -modfile=.ci/tools.mod golangci-lint fmt ./...
	clang-format-19 -i $$(git ls-files 'bpf/*.c' 'bpf/include/*.h')

.PHONY: generate
generate: ## recompile the BPF programs (clang-19) and whatever else is generated
	@deploy/setup.sh build generate
	$(GO) generate ./...

.PHONY: check-generated
check-generated: ## regenerate, and fail if what is committed differs
	@deploy/setup.sh build generate
	@before=$$(git ls-files -z 'bpf/*_bpfel.*' | xargs -0 sha256sum); \
	$(GO) generate ./... ; \
	diff <(echo "$$before") <(git ls-files -z 'bpf/*_bpfel.*' | xargs -0 sha256sum) || \
	  { echo 'The generated files do not belong to their sources: commit what `make generate` wrote.'; exit 1; }

.PHONY: vagrant-validate
vagrant-validate: ## check the Vagrantfile (no daemon needed)
	@deploy/setup.sh vagrant
	VAGRANT_HOME=$(CURDIR)/.cache/vagrant $(VAGRANT) validate

.PHONY: packages
packages: ## make a deb and an rpm for amd64 and arm64 in bin/packages: VERSION=0.1.0
	@deploy/setup.sh build
	deploy/packages/build.sh $(VERSION)

.PHONY: test-packages
test-packages: ## install, upgrade and remove the package in a Debian of its own, under systemd (root)
	@deploy/setup.sh build packages
	deploy/packages/test.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .cache
