#!/bin/bash
# SPDX-License-Identifier: MIT
#
# MULTIHOME_SAME_INTERFACE: the answer leaves through the interface that the request came in on, without `ip rule`.
# What that needs besides:
# - The second uplink as a default route as well, so that the kernel has a next hop when it is told the interface.
#   IPv4 takes one of any metric. Once the source is given, IPv6 lets the interface decide only among separate routes
#   of the same metric, as two routers that announce themselves make them, or nexthop objects. Between routes of
#   different metric, or the legs of one multipath route, it does not look at the interface.
# - IPv4: rp_filter=2 (loose). Strict checking drops the request itself as long as the best route to the client is
#   through the other interface.
# Usage: same_interface.sh v4|v6|dual
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

family=$1
v4='' v6=''
case $family in
v4) v4=yes ;;
v6) v6=yes ;;
dual) v4=yes v6=yes ;;
*) fail "unknown family $family" ;;
esac
[ -z "$v6" ] || need_ipv6
need_shim
lab_topology_b
serve=("${LAB_ECHO[@]}" --family "$family")
group=(239.1.1.1 --interface up1 --source 203.0.113.1 --source-port 40000 --via)
if [ -n "$v4" ]; then
    serve+=(--join 239.1.1.1 eth1)
    rp_filter 2 eth1
    ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 metric 5000
fi
if [ -n "$v6" ]; then
    ip -n "$LAB_SERVER" nexthop add id 1 via 2001:db8:1::1 dev eth0
    ip -n "$LAB_SERVER" nexthop add id 2 via 2001:db8:2::1 dev eth1
    ip -n "$LAB_SERVER" -6 route replace default nhid 1 metric 1024
    ip -n "$LAB_SERVER" -6 route append default nhid 2 metric 1024
fi

# How many of the answers to requests at one address of each interface did not come from there and through there. The
# kernel's own choice between equal routes is not for us to know, but it cannot be right for both.
wrong_v6() {
    local wrong=0 source_port
    for source_port in {40000..40005}; do
        [ "$(ask 2001:db8:1::3 --via --source-port "$source_port")" = "2001:db8:1::3 via up0" ] || wrong=$((wrong + 1))
        [ "$(ask 2001:db8:2::2 --via --source-port "$source_port")" = "2001:db8:2::2 via up1" ] || wrong=$((wrong + 1))
    done
    printf '%s\n' "$wrong"
}

say "$family server, bare"
start_server bare "${LAB_ECHO[@]}" --family "$family"
[ -z "$v4" ] || expect_answer "192.0.2.2 via up0" 198.51.100.2 --via
if [ -n "$v6" ]; then
    count=$(wrong_v6)
    [ "$count" -gt 0 ] || fail "no bare IPv6 answer is wrong"
    say "ok: asked by IPv6 bare, $count of 12 answers wrong"
fi
stop_server bare

say "$family server, with the shim: the right address, but the routing table's interface"
with_shim start_server shim "${LAB_ECHO[@]}" --family "$family"
[ -z "$v4" ] || expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
if [ -n "$v6" ]; then
    expect_right 2001:db8:1::3
    expect_right 2001:db8:2::2
    count=$(wrong_v6)
    [ "$count" -gt 0 ] || fail "no IPv6 answer takes the other interface: nothing is left to show"
    say "ok: asked by IPv6, $count of 12 answers through the other interface"
fi
stop_server shim

say "$family server, with the shim and MULTIHOME_SAME_INTERFACE=1"
MULTIHOME_SAME_INTERFACE=1 with_shim start_server same "${serve[@]}"
for _ in 1 2; do
    [ -z "$v4" ] || expect_answer "198.51.100.2 via up1" 198.51.100.2 --via --source-port 40000
    [ -z "$v4" ] || expect_answer "192.0.2.3 via up0" 192.0.2.3 --via --source-port 40000
    # From the address of that interface, and not from the one that the route to the client has.
    [ -z "$v4" ] || expect_answer "198.51.100.2 via up1" "${group[@]}"
done
if [ -n "$v6" ]; then
    count=$(wrong_v6)
    [ "$count" -eq 0 ] || fail "asked by IPv6, $count of 12 answers wrong"
    say "ok: asked by IPv6, 0 of 12 answers wrong"
fi
stop_server same

say "$family server, the same, with a socket on another port for each answer"
MULTIHOME_SAME_INTERFACE=1 with_shim start_server handed "${LAB_ECHO[@]}" --family "$family" --answer-from another_port
expect_handed_over() { # ADDRESS INTERFACE
    local answer
    answer=$(ask "$1" --via --source-port 40000)
    [[ $answer == "$1#"*" via $2" ]] || fail "asked $1, answered from $answer, should be another port of it via $2"
    say "ok: asked $1, answered from $answer"
}
for _ in 1 2; do
    [ -z "$v4" ] || { expect_handed_over 198.51.100.2 up1 && expect_handed_over 192.0.2.3 up0; }
    [ -z "$v6" ] || { expect_handed_over 2001:db8:2::2 up1 && expect_handed_over 2001:db8:1::3 up0; }
done
stop_server handed

say "$family server, the same, with a connected socket for each client: the right address, but the routing table's interface"
MULTIHOME_SAME_INTERFACE=1 with_shim start_server connected "${LAB_ECHO[@]}" --family "$family" --answer-from connected
for _ in 1 2; do
    [ -z "$v4" ] || expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
    [ -z "$v6" ] || { expect_right 2001:db8:2::2 && expect_right 2001:db8:1::3; }
done
stop_server connected
