#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A socket that was bound before the shim was there (inherited.sh), as most people meet it: systemd's socket activation.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need systemd-socket-activate
need_shim
lab_topology_a
serve=("${LAB_ECHO[@]}" --fd 3)

listen=(0.0.0.0)
[ ! -e /proc/sys/net/ipv6 ] || listen+=("[::]")
for on in "${listen[@]}"; do
    addresses=(192.0.2.3)
    [ "$on" = 0.0.0.0 ] || addresses+=(2001:db8:1::3)
    say "activated on $on, bare"
    start_server "bare-$on" systemd-socket-activate --datagram -l "$on:$LAB_PORT" "${serve[@]}"
    for address in "${addresses[@]}"; do expect_bare_wrong "$address"; done
    stop_server "bare-$on"

    say "activated on $on, with the shim"
    start_server "shim-$on" systemd-socket-activate --datagram -l "$on:$LAB_PORT" \
        -E "LD_PRELOAD=$MULTIHOME_LIBRARY" "${serve[@]}"
    for _ in 1 2; do
        for address in "${addresses[@]}"; do expect_right "$address"; done
    done
    stop_server "shim-$on"

    say "the same, where a worker that is forked before the socket is used answers"
    start_server "worker-$on" systemd-socket-activate --datagram -l "$on:$LAB_PORT" \
        -E "LD_PRELOAD=$MULTIHOME_LIBRARY" "${serve[@]}" --prefork
    for address in "${addresses[@]}"; do expect_right "$address"; done
    stop_server "worker-$on"
done
