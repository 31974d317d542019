#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Topology A, two addresses on one interface: each answer comes from the address that was asked.
# Usage: topology_a.sh v4|v6|dual
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

family=$1
case $family in
v4) first=(192.0.2.2) second=(192.0.2.3) ;;
v6) first=(2001:db8:1::2) second=(2001:db8:1::3) ;;
dual) first=(192.0.2.2 2001:db8:1::2) second=(192.0.2.3 2001:db8:1::3) ;;
*) fail "unknown family $family" ;;
esac
[ "$family" = v4 ] || need_ipv6
need_shim
lab_topology_a

for calls in recvfrom recvmsg; do
    say "A $family server, $calls, bare"
    start_server "bare-$calls" "${LAB_ECHO[@]}" --family "$family" --calls "$calls"
    for address in "${first[@]}"; do expect_right "$address"; done
    for address in "${second[@]}"; do expect_bare_wrong "$address"; done
    stop_server "bare-$calls"

    say "A $family server, $calls, with the shim"
    with_shim start_server "shim-$calls" "${LAB_ECHO[@]}" --family "$family" --calls "$calls"
    # Twice, so that what was learned from the first round must not show in the second.
    for _ in 1 2; do
        for address in "${first[@]}" "${second[@]}"; do expect_right "$address" --source-port 40000; done
    done
    stop_server "shim-$calls"
done
