#!/bin/busybox sh
# First process of a test guest. /etc/rig/* is written for each guest by Initramfs.cs.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root /sbin /usr/bin /usr/sbin
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/virtio-ports
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
exec </dev/console >/dev/console 2>&1

# One "name parameters…" per line.
while read -r module parameters; do
    modprobe "$module" $parameters || echo "init: cannot insert module $module"
done </etc/rig/modules

[ ! -e /etc/rig/mount-pstore ] || mount -t pstore pstore /sys/fs/pstore
hostname -F /etc/rig/name
ip link set lo up

# Ports get their names a moment after their devices.
while read -r wanted; do
    until [ -e /dev/virtio-ports/"$wanted" ]; do
        for port in /sys/class/virtio-ports/*; do
            [ "$(cat "$port"/name 2>/dev/null)" != "$wanted" ] || ln -s /dev/"${port##*/}" /dev/virtio-ports/"$wanted"
        done
        [ -e /dev/virtio-ports/"$wanted" ] || { echo "init: waiting for port $wanted"; usleep 50000; }
    done
done </etc/rig/ports

if [ -e /etc/rig/script ]; then
    sh /etc/rig/script || echo "init: the test's init script ended with exit code $?"
fi
exec /bin/command-server /dev/virtio-ports/command
