#!/usr/bin/env bash
# Publishes both programs as stripped NativeAOT binaries. A trim or AOT warning, or an agent above its size budget, fails the build.
# usage: packaging/build.sh RID OUT
set -euo pipefail
cd "$(dirname "$0")/.."
rid=$1 out=$2
agent_budget=2600000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

publish() {
    local project=$1 name=$2
    echo "building $name ($rid, NativeAOT; about a minute) ..."
    # Restored without the runtime, which would narrow the lock files down to this one.
    if ! { dotnet restore "$project" --nologo -nodeReuse:false \
        && dotnet publish "$project" -c Release -r "$rid" --no-restore -o "$work/$name" --nologo -nodeReuse:false; } >"$work/$name.log" 2>&1 \
        || grep -q 'warning IL' "$work/$name.log"; then
        cat "$work/$name.log"
        echo "$name: not built, see above" >&2
        exit 1
    fi
    install -m 0755 "$work/$name/$name" "$out/.$name.new"
    mv "$out/.$name.new" "$out/$name"
    install -m 0644 "$work/$name/$name.dbg" "$out/$name.dbg"
    echo "  $out/$name, $(stat -c %s "$out/$name") bytes"
}

publish guest-agent vsockpair-agent
publish host-collector vsockpair
install -m 0755 "$work/vsockpair/libMonoPosixHelper.so" "$out/libMonoPosixHelper.so"

bytes=$(stat -c %s "$out/vsockpair-agent")
if ((bytes > agent_budget)); then
    echo "out/vsockpair-agent has $bytes bytes, more than its budget of $agent_budget" >&2
    exit 1
fi
