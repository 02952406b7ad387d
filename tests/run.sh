#!/usr/bin/env bash
# Runs a tier of the tests and ends with what failed, by name, and one line: N passed, N failed, N skipped.
# usage: tests/run.sh fast | all | soak | fuzz
set -uo pipefail
cd "$(dirname "$0")/.."
tier=$1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

fast=(Shared.Tests GuestAgent.Tests HostCollector.Tests Functional.Tests)
case $tier in
    fast | all) ;;
    soak) export VSOCKPAIR_SOAK=1 VSOCKPAIR_SOAK_FIGURES="$results/figures" ;;
    fuzz) export VSOCKPAIR_FUZZ=1 ;;
    *) echo "usage: tests/run.sh fast | all | soak | fuzz" >&2; exit 2 ;;
esac

dotnet build VsockPair.sln -c Release --nologo -nodeReuse:false -v quiet -clp:NoSummary || { echo "the build failed" >&2; exit 1; }

status=0
# usage: run NAME PROJECTS [dotnet test arguments]; several projects run at once, each in a process of its own: they wait far more than they compute.
run() {
    local name=$1 assemblies=() project
    for project in $2; do assemblies+=("tests/$project/bin/Release/net10.0/$project.dll"); done
    shift 2
    echo "== $name"
    dotnet test "${assemblies[@]}" --nologo "$@" --logger "console;verbosity=normal" --logger "trx;LogFileName=$results/$name.trx" --blame-hang-timeout 15m \
        -- RunConfiguration.MaxCpuCount=${#assemblies[@]} || status=1
}

case $tier in
    fast)
        echo "left out here, run by make test: five tests that wait or measure for 12 s to 30 s each"
        run fast "${fast[*]}" --filter 'Category!=Slow'
        ;;
    all)
        # One guest inside a guest is enough for every day: the product's own test has it, the rig's is left to soak.
        echo "left out here, run by make soak: the rig's own test of nested guests, two of libvirt's ways with a crash, and some tests' second guest kernel"
        run fast "${fast[*]}"
        run Vm.Tests Vm.Tests --filter 'Category!=Soak'
        ;;
    soak)
        run Functional.Tests Functional.Tests
        run Vm.Tests Vm.Tests
        ;;
    fuzz) run HostCollector.Tests HostCollector.Tests --filter 'Category=Fuzz' ;;
esac

counters() { cat "$results"/*.trx 2>/dev/null | grep -o "<Counters [^>]*" | grep -o " $1=\"[0-9]*\"" | tr -dc '0-9\n' | awk '{n += $1} END {print n + 0}'; }

# Each failed test with the first lines of its message, and each run that ended before its tests had, with the tests that were running: a log is often read from its end only.
failures() {
    cat "$results"/*.trx 2>/dev/null | awk '
        function plain(text) {
            gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "\047", text); gsub(/&#xD;/, "", text)
            gsub(/&amp;/, "\\&", text)
            return text
        }
        /<UnitTestResult / {
            failed = / outcome="Failed"/
            if (failed && match($0, / testName="[^"]*"/)) print "failed: " plain(substr($0, RSTART + 11, RLENGTH - 12))
        }
        failed && /<Message>/ { left = 5; sub(/.*<Message>/, "") }
        left > 0 { line = $0; sub(/<\/Message>.*/, "", line); print "    " plain(line); left = /<\/Message>/ ? 0 : left - 1 }
        /<RunInfo / { aborted = / outcome="Error"/ }
        aborted && /<Text>/ && !/\[FAIL\]<\/Text>/ { sub(/.*<Text>/, ""); sub(/<\/Text>.*/, ""); print "aborted: " plain($0) }
        match($0, /Sequence_[0-9a-f]+\.xml/) {
            sequence = substr($0, RSTART, RLENGTH)
            while (("cat TestResults/*/" sequence) | getline test > 0)
                if (test ~ /Completed="False"/ && match(test, / DisplayName="[^"]*"/)) print "running then: " plain(substr(test, RSTART + 14, RLENGTH - 15))
        }'
}
passed=$(counters passed) failed=$(counters failed) total=$(counters total)
if ((passed == 0)); then
    status=1
fi
summary="$passed passed, $failed failed, $((total - passed - failed)) skipped"
if [[ $tier == soak ]]; then
    tests/soak/report.sh "$results/figures" "$summary" >"$results/RESULTS.md" && mv "$results/RESULTS.md" tests/soak/RESULTS.md && echo "figures: tests/soak/RESULTS.md"
fi
failures
echo "$summary"
exit $status
