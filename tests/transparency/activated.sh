#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Point 3: a server that systemd-socket-activate starts with a socket that is already bound, and on which the first
# datagram is already waiting. usage: activated.sh PROBE (exec.cpp), to be run by compare.sh.
set -euo pipefail

if ! command -v systemd-socket-activate >/dev/null; then
    echo "SKIP: no systemd-socket-activate here"
    exit 0
fi
if [ "${ACTIVATED_IN:-}" != namespace ]; then
    # A namespace of its own, so that the port is free. The loader must not put the shim into anything but the server.
    preload=${LD_PRELOAD:-}
    unset LD_PRELOAD
    if ! unshare --map-root-user --net true 2>/dev/null; then
        echo "SKIP: may not make a network namespace"
        exit 0
    fi
    ACTIVATED_IN=namespace SERVER_PRELOAD=$preload exec unshare --map-root-user --net "$0" "$@"
fi
ip link set lo up

work=$(mktemp -d)
activator=
# shellcheck disable=SC2317 # called by the trap
finish() {
    [ -z "$activator" ] || kill "$activator" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

systemd-socket-activate --datagram -l 0.0.0.0:7000 ${SERVER_PRELOAD:+-E "LD_PRELOAD=$SERVER_PRELOAD"} \
    "$(realpath "$1")" inherited activated >"$work/output" 2>"$work/messages" &
activator=$!
# It is ready when its socket is there; then the first datagram starts the server.
for _ in $(seq 500); do
    [ -z "$(ss --no-header --udp --listening --numeric 'sport = 7000')" ] || break
    sleep 0.01
done
printf 'question' >/dev/udp/127.0.0.2/7000
status=0
wait "$activator" || status=$?
activator=
cat "$work/output"
echo "server ended with $status"
