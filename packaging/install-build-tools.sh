#!/bin/bash
# Installs what building VsockPair needs besides the .NET 10 SDK: the NativeAOT linker's tools,
# and for tests: a C compiler with the kernel headers, which check struct layouts, and zstd, which reads compressed segments.
# Nothing to do: no output. Runs apt-get as root, or through sudo.
set -euo pipefail

packages=(clang lld zlib1g-dev gcc libc6-dev linux-libc-dev zstd)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "install-build-tools.sh: missing ${missing[*]}; run this script as root, or install sudo" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() {
    # ${as_root[@]+…}: an empty array is not "unset" to set -u.
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "$@" </dev/null >"$log" 2>&1
}

echo "Installing build tools from this machine's own package sources: ${missing[*]}"
if ! { apt_get update && apt_get install --no-install-recommends "${missing[@]}"; }; then
    tail -n 20 "$log" >&2
    echo "install-build-tools.sh: apt-get failed (above); is the package server reachable?" >&2
    exit 1
fi
echo "Build tools are installed."
