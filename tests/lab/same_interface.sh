#!/bin/bash
# SPDX-License-Identifier: MIT
#
# MULTIHOME_SAME_INTERFACE: the answer leaves through the interface that the request came in on, without `ip rule`.
# What that needs: the second uplink as a default route of lesser preference, so that the kernel has a next hop when
# it is told the interface; and rp_filter=2 (loose), since strict checking drops the request itself as long as the
# best route to the client is through the other interface.
# Usage: same_interface.sh v4|v6|dual
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

family=$1
case $family in
v4) first=(192.0.2.3) second=(198.51.100.2) ;;
v6) first=(2001:db8:1::3) second=(2001:db8:2::2) ;;
dual) first=(192.0.2.3 2001:db8:1::3) second=(198.51.100.2 2001:db8:2::2) ;;
*) fail "unknown family $family" ;;
esac
[ "$family" = v4 ] || need_ipv6
need_shim
lab_topology_b
rp_filter 2 eth1
ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 metric 5000
[ "$family" = v4 ] || ip -n "$LAB_SERVER" -6 route add default via 2001:db8:2::1 dev eth1 metric 5000

say "$family server, bare"
start_server bare "${LAB_ECHO[@]}" --family "$family"
for address in "${second[@]}"; do
    expect_bare_wrong "$address"
    [[ "$(ask "$address" --via)" == *" via up0" ]] || fail "the bare answer did not take the first interface"
done
stop_server bare

say "$family server, with the shim: the right address, but the routing table's interface"
with_shim start_server shim "${LAB_ECHO[@]}" --family "$family"
for address in "${second[@]}"; do expect_answer "$address via up0" "$address" --via; done
stop_server shim

say "$family server, with the shim and MULTIHOME_SAME_INTERFACE=1"
MULTIHOME_SAME_INTERFACE=1 with_shim start_server same "${LAB_ECHO[@]}" --family "$family"
for _ in 1 2; do
    for address in "${second[@]}"; do expect_answer "$address via up1" "$address" --via --source-port 40000; done
    for address in "${first[@]}"; do expect_answer "$address via up0" "$address" --via --source-port 40000; done
done
stop_server same
