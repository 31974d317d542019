#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs a test of systemd/ beside a real systemd: one that is PID 1 in namespaces of the test's own.
#
# That systemd must not be able to change anything of the host. So its root is a file system in memory, into which what it
# needs of the host is bound read-only; it has a control group, a network and a /proc of its own; and no unit depends on
# the usual targets, which would clean /tmp, set kernel parameters and start the host's services.
set -euo pipefail

topic=${1:?which test of systemd/}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${TOOLS_CTL:?run this by ctest}" "${TOOLS_ECHO:?}" "${TOOLS_STATIC:?}" "${MULTIHOME_LIBRARY:?}"
skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "a systemd in namespaces of its own needs root"
manager=
for candidate in /usr/lib/systemd/systemd /lib/systemd/systemd; do [ ! -x "$candidate" ] || manager=$candidate; done
[ -n "$manager" ] || skip "systemd is not installed"
for command in unshare nsenter pivot_root setcap; do
    command -v "$command" >/dev/null || skip "$command is not installed"
done
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$tree" ] || skip "there is no unified control group tree (cgroup2)"

remove_group() { # GROUP
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        [ -d "$1" ] || break
        find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        sleep 0.05
    done
}
# What a killed test left: its control group, and the systemd in it. A process's number says who it is in its own namespace of
# processes alone, and several may share the tree; to them, each other's processes are 0: to kill, our own process group.
prefix=$tree/mhtools-$(stat -L -c %i /proc/self/ns/pid)-
for left in "$prefix"*; do
    if [ -d "$left" ] && [ ! -d "/proc/${left##*-}" ]; then
        find "$left" -name cgroup.procs -exec cat {} + 2>/dev/null | grep -vx 0 | xargs -r kill -KILL 2>/dev/null || true
        remove_group "$left"
    fi
done

work=$(mktemp -d)
group=$prefix$$
pid=
# shellcheck disable=SC2317 # called by the trap
end() {
    trap '' HUP INT TERM
    # --kill-child: the systemd goes with unshare, and all its processes with it.
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
    remove_group "$group"
    rm -rf -- "$work"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
mkdir "$group" 2>/dev/null || skip "no control group can be made in $tree"

# What systemd and the test see. The library, the programs and the test are copies, wherever the build tree is.
mkdir "$work/root" "$work/put"
cp "$TOOLS_CTL" "$work/put/multihomectl"
cp "$MULTIHOME_LIBRARY" "$work/put/libmultihome.so"
cp "$TOOLS_ECHO" "$work/put/echo"
cp "$TOOLS_STATIC" "$work/put/static"
# As a package has them: where the dynamic loader looks for $LIB.
loader=$(readelf -l "$TOOLS_ECHO" 2>/dev/null | sed -n 's/.*interpreter: \(.*\)]$/\1/p')
lib=$("${loader:-false}" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p') || true
if [ -n "$lib" ]; then
    mkdir -p "$work/put/package/bin" "$work/put/package/$lib/multihome"
    cp "$TOOLS_CTL" "$work/put/package/bin/multihomectl"
    cp "$MULTIHOME_LIBRARY" "$work/put/package/$lib/multihome/libmultihome.so"
fi
# What a service of glibc's starts first: a program of musl's, which a library of glibc's would end.
printf 'int main(void) { return 0; }\n' >"$work/helper.c"
if ! musl-gcc -o "$work/put/helper" "$work/helper.c" 2>/dev/null || ! "$work/put/helper"; then
    cp "$(command -v true)" "$work/put/helper"
fi
cp -r "$here/systemd" "$work/put/test"
cat >"$work/init.sh" <<'INIT'
set -e
root=$1 put=$2 manager=$3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p proc sys dev etc run tmp var/log root old
for place in usr bin sbin lib lib64 lib32; do
    if [ -L "/$place" ]; then
        cp -P "/$place" .
    elif [ -d "/$place" ]; then
        mkdir "$place"
        mount --bind "/$place" "$place"
        mount -o remount,bind,ro "$place"
    fi
done
cp -P /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/ 2>/dev/null || true
mkdir -p etc/systemd/system etc/apparmor.d/local opt
cp -a "$put/." opt/
cp opt/test/units/* etc/systemd/system/
echo 00000000000000000000000000000012 >etc/machine-id
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm
: >etc/resolv.conf
pivot_root . old
umount -l /old
ip link set lo up
ip link add eth0 type veth peer name up0
ip address add 192.0.2.2/24 dev eth0
ip address add 192.0.2.3/24 dev eth0
ip link set up0 up
ip link set eth0 up
ip route add default via 192.0.2.1
exec env -i container=multihome-test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$manager" --system --unit=test.target \
    --log-target=console --log-level=notice --show-status=false </dev/null
INIT
# The group first: what unshare then takes for the root of the tree is this one.
sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$group" \
    unshare --mount --pid --net --cgroup --uts --ipc --fork --kill-child \
    bash "$work/init.sh" "$work/root" "$work/put" "$manager" >"$work/log" 2>&1 &
pid=$!

# Nothing of ours runs before the target, which is empty, is reached. A systemd that cannot start ends, or says that it freezes.
first=
for ((tries = 0; tries < 1000; tries++)); do
    { kill -0 "$pid" 2>/dev/null && ! grep -qi 'freezing' "$work/log"; } ||
        skip "a systemd does not start in namespaces here: $(tail -n 3 "$work/log" | tr '\n' ' ')"
    first=$(tr -d ' ' <"/proc/$pid/task/$pid/children") || true
    if [ -n "$first" ] && [ "$(nsenter -t "$first" -a systemctl is-active test.target 2>/dev/null)" = active ]; then
        break
    fi
    sleep 0.1
done
[ "$tries" -lt 1000 ] || {
    echo "FAIL: the systemd does not come up: $(tail -n 20 "$work/log")"
    exit 1
}
status=0
nsenter -t "$first" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin bash "/opt/test/$topic.sh" || status=$?
[ "$status" -eq 0 ] || tail -n 20 "$work/log"
exit "$status"
