#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Services that start in ways of their own: with an io_uring, with a socket of systemd's, with a helper of another libc,
# under systemd's list of system calls.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# One that may hear by an io_uring what the library does not see: enable does not say that it works.
cat >/opt/ring.py <<'PYTHON'
import ctypes, socket
if ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0:
    open("/run/no_ring", "w")
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5409))
server.recvfrom(65535)
PYTHON
printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/python3 /opt/ring.py\n' >"$units/ring.service"
systemctl daemon-reload
expect 0 'ring.service: restarted; ' "$ctl" enable --now ring
if [ ! -e /run/no_ring ]; then
    grep -q 'multihome is in it, and has taken over sockets' /run/said || complain "no word of the io_uring"
    expect 0 'ring.service: it has an io_uring, .*: multihomectl ask' "$ctl" enable --now ring
    expect 0 'note: .*it has an io_uring' "$ctl" check --pid "$(systemctl show --property=MainPID --value ring)"
fi
expect 0 'removed' "$ctl" disable ring
systemctl stop ring
rm "$units/ring.service"
systemctl daemon-reload

# systemd holds the socket of a service that it starts for it: judged is the service.
cat >/opt/handed.py <<'PYTHON'
import socket
server = socket.fromfd(3, socket.AF_INET, socket.SOCK_DGRAM)
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
PYTHON
printf '[Unit]\nDefaultDependencies=no\n[Socket]\nListenDatagram=0.0.0.0:5410\n' >"$units/handed.socket"
printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/python3 /opt/handed.py\n' >"$units/handed.service"
systemctl daemon-reload
systemctl start handed.socket handed.service
expect 1 '^5410 +python3[^ ]* +[0-9]+ +handed.service +WRONG' "$ctl" doctor
expect 0 'restarted; multihome' "$ctl" enable --now handed
for ((tries = 0; tries < 200; tries++)); do
    echo >/dev/udp/192.0.2.3/5410 # it takes the socket over when it first uses it
    ! "$ctl" doctor | grep -qE '^5410 .* ok +multihome' || break
    sleep 0.05
done
expect 0 '^5410 +python3[^ ]* +[0-9]+ +handed.service +ok +multihome' "$ctl" doctor
expect 0 'removed' "$ctl" disable --now handed
systemctl stop handed.service handed.socket
rm "$units"/handed.*
systemctl daemon-reload

# Where the loader finds it by $LIB, it is named so: programs of musl's that the service starts live on. One name for both.
if [ -d /opt/package ]; then
    # shellcheck disable=SC2016 # for the loader
    name='/opt/package/$LIB/multihome/libmultihome.so'
    drop_in=$units/helper.service.d/zz-multihome.conf
    full=$(echo /opt/package/lib*/multihome/libmultihome.so /opt/package/lib*/*/multihome/libmultihome.so | tr ' ' '\n' |
        grep -vF '*')
    installed=/opt/package/bin/multihomectl
    is_named_once() { # NAMES
        grep -qxF "Environment=\"LD_PRELOAD=$1\"" "$drop_in" || complain "instead of $1: $(grep LD_PRELOAD "$drop_in")"
    }
    expect 0 'multihome works in it' "$installed" enable --now helper
    is_in helper || complain "the library is not in helper.service"
    is_named_once "$name"
    expect 0 'multihome works in it' "$installed" enable --now helper
    is_named_once "$name"
    expect 0 'removed' "$installed" disable helper
    mkdir "$units/helper.service.d"
    for other in "$full" "$name"; do
        printf '[Service]\nEnvironment=LD_PRELOAD=%s:libm.so.6\n' "$other" >"$units/helper.service.d/a.conf"
        systemctl daemon-reload
        expect 0 'multihome works in it' "$installed" enable --now helper
        is_named_once "libm.so.6:$name"
    done
    expect 0 'LD_PRELOAD reaches' "$installed" check --unit helper
    ! grep -q 'note:' /run/said || complain "a note on a unit that needs none"
    # A later drop-in that names the same file is as good.
    printf '[Service]\nEnvironment=LD_PRELOAD=%s\n' "$full" >"$units/helper.service.d/zzz.conf"
    systemctl daemon-reload
    expect 0 'takes effect' "$installed" enable helper
    if compgen -G '/lib/ld-musl-*.so.1' >/dev/null; then
        expect 0 'note: .*full path.*package/[$]LIB/multihome' "$installed" check --unit helper
    fi
    # In a tree of its own the unit has a loader of its own.
    printf '[Service]\nRootDirectory=/mnt\n' >"$units/helper.service.d/zzz.conf"
    systemctl daemon-reload
    expect 0 "\"LD_PRELOAD=$full\"\$" "$installed" enable --dry-run helper
    rm -r "$units/helper.service.d"
    systemctl daemon-reload
    systemctl stop helper
else
    echo "SKIP: the loader does not say what it puts for \$LIB"
fi

# systemd's list for services permits all that the library calls: no line mends what is right, and a server that is
# preloaded by hand lives.
printf '[Unit]\nDefaultDependencies=no\n[Service]\nSystemCallFilter=@system-service\nExecStart=/opt/echo 5412\n' \
    >"$units/listed.service"
systemctl daemon-reload
expect 0 'LD_PRELOAD=/opt/libmultihome.so"$' "$ctl" enable --dry-run listed
! grep -q '^SystemCallFilter=' /run/said || complain "@system-service lacks a call that the library makes"
mkdir "$units/listed.service.d"
printf '[Service]\nEnvironment=LD_PRELOAD=/opt/libmultihome.so\n' >"$units/listed.service.d/a.conf"
systemctl daemon-reload
systemctl start listed
await 5412
echo >/dev/udp/192.0.2.3/5412
for ((tries = 0; tries < 100; tries++)); do
    ! "$ctl" stats :5412 2>/dev/null | grep -qE '^[0-9]+ +listed.service +5412 +1 ' || break
    sleep 0.05
done
expect 0 '^[0-9]+ +listed.service +5412 +1 ' "$ctl" stats :5412
systemctl stop listed
rm -r "$units"/listed.*
systemctl daemon-reload
finish
