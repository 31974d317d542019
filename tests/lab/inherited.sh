#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A socket that was bound before the shim was there: made by another program and passed on by exec. The datagram
# that started it all was queued before the option was on, so the kernel tells only half of what it tells otherwise.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_a

for family in v4 v6 dual; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    case $family in
    v4) addresses=(192.0.2.3) ;;
    v6) addresses=(2001:db8:1::3) ;;
    dual) addresses=(2001:db8:1::3 192.0.2.3) ;;
    esac
    say "$family socket, bare"
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family" --exec-with ""
    for address in "${addresses[@]}"; do expect_bare_wrong "$address"; done
    stop_server "bare-$family"
    # Each address as the first one, which is the half-known datagram.
    for first in "${addresses[@]}"; do
        say "$family socket, with the shim"
        start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family" --exec-with "$MULTIHOME_LIBRARY"
        expect_right "$first"
        for address in "${addresses[@]}"; do expect_right "$address"; done
        stop_server "shim-$family"
    done
done
