#!/bin/bash
# Opens a trace.dat in KernelShark on a screen of its own (Xvfb) and takes a picture of it: for tests, and to look at.
#
#   usage: tests/rig/kernelshark.sh TRACE.dat PICTURE.png
#
# Exits with 0 once KernelShark shows the file, and with 1 when it reports an error, ends, or has not drawn it in time.
# Packages that are missing are installed first, by install.sh.
set -euo pipefail

[ $# = 2 ] || { echo "usage: kernelshark.sh TRACE.dat PICTURE.png" >&2; exit 2; }
trace=$1
picture=$2
seconds=120

for tool in kernelshark Xvfb xwininfo import; do
    command -v "$tool" >/dev/null || { "$(dirname "$0")/install.sh"; break; }
done

work=$(mktemp -d)
processes=()
# No KernelShark and no screen outlives this; a killed one takes its screen along, and that KernelShark.
clean_up() {
    [ ${#processes[@]} = 0 ] || kill "${processes[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "kernelshark.sh: $trace: $*" >&2
    cat "$work/said" >&2 2>/dev/null || true
    exit 1
}

# KernelShark greets root with a dialog, and a file of a guest is nothing for root.
as_user=()
if [ "$(id -u)" = 0 ]; then
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
mkdir -m 700 "$work/home"
cp -- "$trace" "$work/home/trace.dat"
[ ${#as_user[@]} = 0 ] || { chmod 711 "$work"; chown -R nobody:nogroup "$work/home"; }

mkfifo "$work/display"
exec 3<>"$work/display"
# The server picks a free number and says so once it takes clients.
setpriv --pdeathsig TERM Xvfb -displayfd 3 -screen 0 2560x1600x24 -nolisten tcp >"$work/said" 2>&1 &
processes+=($!)
read -r -t $seconds -u 3 display || fail "Xvfb did not start"
export DISPLAY=:$display

# In a folder of its own, where there are no settings and no last session. (GL without a graphics card is Mesa's own software.)
(cd "$work/home" && exec "${as_user[@]}" env HOME="$work/home" XDG_RUNTIME_DIR="$work/home" LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb \
    kernelshark trace.dat) >"$work/said" 2>&1 &
kernelshark=$!
processes+=("$kernelshark")

# usage: until_true WHAT COMMAND...
until_true() {
    local what=$1
    shift
    until "$@"; do
        # Its errors open a dialog and leave it running.
        ! grep --quiet '^ERROR' "$work/said" || fail "KernelShark reports an error:"
        kill -0 "$kernelshark" 2>/dev/null || fail "KernelShark ended and has not $what:"
        ((SECONDS < seconds)) || fail "after $seconds s KernelShark has not $what:"
        sleep 0.2
    done
}

# The main window is named after the file once that is loaded.
is_loaded() {
    window=$(xwininfo -root -tree | sed -n 's/^ *\(0x[0-9a-f]*\) "Kernel Shark (trace.dat)".*/\1/p')
    [ -n "$window" ]
}

# Two pictures are the same, and plots are there: below the buttons nothing else has colours, and each task's events have one.
is_drawn() {
    mv -f "$work/now.ppm" "$work/before.ppm" 2>/dev/null || true
    import -silent -window "$window" "$work/now.ppm" && cmp --quiet "$work/before.ppm" "$work/now.ppm" &&
        (($(convert "$work/now.ppm" -chop 0x90 -colorspace HSB -channel G -separate -threshold 60% -format '%[fx:int(mean*w*h)]' info:) >= 20))
}

until_true "loaded it" is_loaded
until_true "drawn it" is_drawn
! grep --quiet '^ERROR' "$work/said" || fail "KernelShark reports an error:"
convert "$work/now.ppm" "$picture"
echo "KernelShark shows $trace: $picture"
