#!/usr/bin/env bash
# Prints tests/soak/RESULTS.md: what one run of `make soak` measured, and on what.
# usage: tests/soak/report.sh FIGURES SUMMARY
set -euo pipefail
cd "$(dirname "$0")/../.."
figures=$1 summary=$2
cache=${VSOCKPAIR_CACHE:-$HOME/.cache/vsockpair}
# linux-6.12/boot/vmlinuz-6.12.1-cloud-amd64 → 6.12.1-cloud-amd64
kernels=$(find "$cache" -path '*/boot/vmlinuz-*' -printf '%f\n' | sed 's/^vmlinuz-//' | sort -V | paste -sd ' ')
commit=$(git rev-parse --short HEAD)$([[ -z $(git status --porcelain) ]] || echo ', with changes')

cat <<END
# What \`make soak\` measured

Written by \`make soak\`, not by hand.

- $(date -u +%F), commit $commit: **$summary**
- guest kernels: $kernels
- $(qemu-system-x86_64 --version | sed -n '1s/ (.*//p'), emulated without KVM on $(nproc) cores

| test | measured |
|---|---|
END
[[ ! -e $figures ]] || cat "$figures"
