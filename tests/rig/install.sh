#!/bin/bash
# Installs what the tests with real guests need on a Debian 12 machine. Nothing to do: no output, a fraction of a second.
#
#   installed with apt-get (as root or through sudo):
#       QEMU 10 from bookworm-backports; busybox-static, cpio, xz-utils, trace-cmd, socat from bookworm;
#       KernelShark, and for it a screen (Xvfb) with tools to look at it (x11-utils, imagemagick)
#       libvirt: its library, driver for QEMU and virsh. Not libvirt-daemon-system, which has the services: nothing is
#       started here or at boot, tests start a libvirtd of their own
#   downloaded and unpacked into ${VSOCKPAIR_CACHE:-$HOME/.cache/vsockpair}, not installed:
#       linux-6.12 (trixie), linux-6.1 (bookworm): kernel image and modules
#       vhost-device-vsock (sid): AF_VSOCK for a guest without /dev/vhost-vsock
#
# Other suites are reached through a source list of our own, made from the machine's Debian sources;
# the machine's apt configuration, lists and caches stay as they are. A folder of the cache appears
# whole or not at all; remove one and run this again to get its newest version.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${VSOCKPAIR_CACHE:-$HOME/.cache/vsockpair}
packages=(busybox-static cpio xz-utils trace-cmd socat kernelshark xvfb x11-utils imagemagick libvirt-daemon libvirt-clients)
# 7.2, bookworm's own, corrupts flags after cmpxchg16b under TCG: guest kernels die at random.
qemu_packages=(qemu-system-x86 seabios)
qemu_minimum=1:10.0

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

progress() {
    echo "[rig] $*"
}

is_installed() {
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

qemu_is_new_enough() {
    is_installed qemu-system-x86 && is_installed seabios &&
        dpkg --compare-versions "$(dpkg-query --show --showformat '${Version}' qemu-system-x86)" ge "$qemu_minimum"
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        is_installed "$package" || echo "$package"
    done
}

everything_is_there() {
    qemu_is_new_enough && [ -z "$(missing_packages)" ] &&
        [ -d "$cache/linux-6.12" ] && [ -d "$cache/linux-6.1" ] && [ -d "$cache/vhost-device-vsock" ]
}

"$here/../../packaging/install-build-tools.sh"
everything_is_there && exit 0

. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] ||
    fail "made for Debian 12 (bookworm), this is ${PRETTY_NAME:-an unknown system}; see the header of this script for what to provide by hand"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "the guests are amd64, this machine is $(dpkg --print-architecture)"

if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null; then
    as_root=(sudo env)
else
    fail "needs root to install packages: run it as root, or install sudo"
fi

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock --nonblock 9 || { progress "waiting for another install.sh"; flock 9; }
rm -rf "$cache"/.unfinished.*
work=$(mktemp -d "$cache/.unfinished.XXXXXX")
trap 'rm -rf "$work"' EXIT
log=$work/log

# Runs a command whose output matters only when it fails.
quietly() {
    "$@" </dev/null >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "apt-get ... ${*: -1}: failed (above); is the package server reachable? Nothing half-done is left, run this again"
    }
}

# The machine's Debian archives as "URI suite" lines, whatever format its sources are written in.
debian_archives() {
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "main" { print $3, $4 }' | sort -u
}

archives=$(debian_archives)
if [ -z "$archives" ]; then
    progress "reading this machine's package lists"
    quietly "${as_root[@]}" apt-get --quiet update
    archives=$(debian_archives)
fi
main_archive=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$archives")
[ -n "$main_archive" ] || fail "no Debian archive for bookworm among this machine's apt sources (/etc/apt/sources.list, /etc/apt/sources.list.d)"

# open_suite NAME < "URI suite" lines: apt state of its own under $work/NAME; sets $apt_options for it.
open_suite() {
    local state=$work/$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    awk '{ print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $1, $2, "main" }' >"$state/sources.list"
    apt_options=(
        -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=-
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        # The cache may lie where apt's own user cannot read.
        -o APT::Sandbox::User=root)
    # Without --error-on an unreachable server is only a warning.
    quietly "${as_root[@]}" apt-get --quiet "${apt_options[@]}" --error-on=any update
}

# The package that a kernel metapackage stands for today.
newest_kernel() {
    apt-cache "${apt_options[@]}" depends --important linux-image-cloud-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

# unpack PACKAGE FOLDER: the rename at the end is what makes an interrupted run harmless.
unpack() {
    local package=$1 folder=$2
    progress "downloading $package"
    mkdir "$work/$folder.deb" "$work/$folder"
    (cd "$work/$folder.deb" && quietly "${as_root[@]}" apt-get --quiet "${apt_options[@]}" download "$package")
    dpkg -x "$work/$folder.deb"/*.deb "$work/$folder"
    mv -T "$work/$folder" "$cache/$folder"
    rm -rf "$work/$folder.deb"
}

fetch_kernel() {
    local suite=$1 folder=$2 kernel
    [ ! -d "$cache/$folder" ] || return 0
    progress "looking up the newest kernel of $suite"
    open_suite "$suite" < <(sed "s/bookworm/$suite/" <<<"$archives")
    kernel=$(newest_kernel)
    [[ $kernel == linux-image-"${folder#linux-}".* ]] || fail "$suite offers '${kernel:-no cloud kernel}', wanted ${folder#linux-}"
    unpack "$kernel" "$folder"
}

# usage: install_packages [apt-get options] PACKAGE...
install_packages() {
    quietly "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "${apt_options[@]}" install --no-install-recommends --no-remove "$@"
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ] || ! qemu_is_new_enough; then
    open_suite bookworm-backports < <(echo "$archives"; echo "$main_archive bookworm-backports")
fi
if [ ${#missing[@]} -gt 0 ]; then
    progress "installing ${missing[*]}"
    install_packages "${missing[@]}"
fi
if ! qemu_is_new_enough; then
    progress "installing ${qemu_packages[*]} from bookworm-backports"
    # -t chooses among versions for what gets installed; packages that are there and good enough stay as they are.
    install_packages -t bookworm-backports "${qemu_packages[@]}"
fi

fetch_kernel trixie linux-6.12
fetch_kernel bookworm linux-6.1
if [ ! -d "$cache/vhost-device-vsock" ]; then
    open_suite sid < <(echo "$main_archive sid")
    unpack vhost-device-vsock vhost-device-vsock
fi
progress "ready: $(qemu-system-x86_64 --version | head -n 1); cache in $cache"
