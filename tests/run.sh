#!/usr/bin/env bash
# Runs a tier of the tests and ends with one line: N passed, N failed, N skipped.
# usage: tests/run.sh fast | all | soak | fuzz
set -uo pipefail
cd "$(dirname "$0")/.."
tier=$1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

fast=(Shared.Tests GuestAgent.Tests HostCollector.Tests Functional.Tests)
case $tier in
    fast) projects=("${fast[@]}") ;;
    all) projects=("${fast[@]}" Vm.Tests); export VSOCKPAIR_FUZZ_MILLIONS=1 ;;
    soak) projects=(Functional.Tests Vm.Tests); export VSOCKPAIR_SOAK=1 ;;
    fuzz) projects=(HostCollector.Tests); export VSOCKPAIR_FUZZ_MILLIONS=10 ;;
    *) echo "usage: tests/run.sh fast | all | soak | fuzz" >&2; exit 2 ;;
esac

dotnet build VsockPair.sln -c Release --nologo -nodeReuse:false -v quiet -clp:NoSummary || { echo "the build failed" >&2; exit 1; }

# A guest inside a guest takes five minutes a test: soak only.
filter=()
if [[ $tier == all ]]; then
    filter=(--filter 'Category!=Nested')
    echo "left out here, run by make soak: the nested guests (vhost_vsock)"
elif [[ $tier == fuzz ]]; then
    filter=(--filter 'Category=Fuzz')
fi

status=0
for project in "${projects[@]}"; do
    echo "== $project"
    dotnet test "tests/$project" -c Release --no-build --nologo "${filter[@]}" --logger "console;verbosity=normal" --logger "trx;LogFileName=$results/$project.trx" \
        --blame-hang-timeout 15m || status=1
done

counters() { cat "$results"/*.trx 2>/dev/null | grep -o "<Counters [^>]*" | grep -o " $1=\"[0-9]*\"" | tr -dc '0-9\n' | awk '{n += $1} END {print n + 0}'; }
passed=$(counters passed) failed=$(counters failed) total=$(counters total)
if ((passed == 0)); then
    status=1
fi
echo "$passed passed, $failed failed, $((total - passed - failed)) skipped"
exit $status
