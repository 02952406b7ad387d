# Each target installs what it needs on a Debian 12 machine with the .NET 10 SDK, and says so. Root (or sudo) is used for packages only.
SHELL := /bin/bash
RID   := linux-x64
DOTNET_FLAGS := -nodeReuse:false --nologo

.DEFAULT_GOAL := help
.PHONY: help build demo test test-fast soak fuzz clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: out/vsockpair-agent out/vsockpair ## stripped binaries in out/

SOURCES := $(shell find shared guest-agent host-collector -name '*.cs' -not -path '*/obj/*') $(wildcard *.props *.targets */*.csproj)

out/vsockpair-agent out/vsockpair &: $(SOURCES) packaging/build.sh packaging/install-build-tools.sh
	@packaging/install-build-tools.sh
	@packaging/build.sh $(RID) out

demo: build ## a real guest boots, its trace and log arrive; a few minutes, no prompt
	@tests/rig/install.sh
	@dotnet run --project tests/Demo -c Release $(DOTNET_FLAGS)

test: build ## all tests, real guests included; under 40 minutes on 2 cores
	@tests/rig/install.sh
	@tests/run.sh all

test-fast: ## unit and functional tests; no root, no VM, under a minute
	@tests/run.sh fast

soak: build ## the long runs of the same tests; writes tests/soak/RESULTS.md
	@tests/rig/install.sh
	@tests/run.sh soak

fuzz: ## ten million mutated pages and metadata files; a few minutes, no root, no VM; writes tests/fuzz/RESULTS.md
	@tests/run.sh fuzz

clean: ## everything that was built
	rm -rf out
	find . -type d \( -name bin -o -name obj -o -name TestResults \) -not -path './.git/*' -prune -exec rm -rf {} +
