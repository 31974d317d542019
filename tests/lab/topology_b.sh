#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Topology B, two interfaces with an uplink each: the answer comes from the second interface's address and leaves
# through that interface, with one `ip rule` and with strict rp_filter left on.
# Usage: topology_b.sh v4|v6|dual
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

family=$1
case $family in
v4) first=(192.0.2.2 192.0.2.3) second=(198.51.100.2) ;;
v6) first=(2001:db8:1::2 2001:db8:1::3) second=(2001:db8:2::2) ;;
dual) first=(192.0.2.2 192.0.2.3 2001:db8:1::2 2001:db8:1::3) second=(198.51.100.2 2001:db8:2::2) ;;
*) fail "unknown family $family" ;;
esac
[ "$family" = v4 ] || need_ipv6
need_shim
lab_topology_b

sent_through() { on_server cat "/sys/class/net/$1/statistics/tx_packets"; } # INTERFACE

start_server bare "${LAB_ECHO[@]}" --family "$family"
if [ "$family" != v6 ]; then
    # Shows that strict checking is really on: it takes the rule to let the request in at all.
    say "B $family server, bare, without the rule"
    expect_silence 198.51.100.2
fi
lab_policy_rule
say "B $family server, bare, with the rule"
for address in "${second[@]}"; do
    expect_bare_wrong "$address"
    [[ "$(ask "$address" --via)" == *" via up0" ]] || fail "the bare answer did not take the first interface"
done
stop_server bare

say "B $family server, with the shim and the rule"
with_shim start_server shim "${LAB_ECHO[@]}" --family "$family"
for address in "${first[@]}"; do expect_answer "$address via up0" "$address" --via; done
for address in "${second[@]}"; do
    expect_answer "$address via up1" "$address" --via
    # The same once more by the server's own counters. Address resolution is counted too, hence not "equal".
    before0=$(sent_through eth0) before1=$(sent_through eth1)
    answers=$(ask "$address" --count 50 --pipeline 10)
    [ "$(sort -u <<<"$answers")" = "$address" ] || fail "50 requests to $address: $(sort <<<"$answers" | uniq -c)"
    through0=$(($(sent_through eth0) - before0)) through1=$(($(sent_through eth1) - before1))
    say "50 answers from $address: eth0 sent $through0 packets, eth1 $through1"
    [ "$through1" -ge 50 ] || fail "eth1 sent only $through1 packets"
    [ "$through0" -lt 50 ] || fail "eth0 sent $through0 packets"
done
stop_server shim
[ "$(on_server cat /proc/sys/net/ipv4/conf/eth1/rp_filter)" = 1 ] || fail "rp_filter was not left on"
