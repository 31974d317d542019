#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Why it does not work to rewrite the answer's source on its way out. For connection tracking, request and answer are
# then two connections, and the addresses and ports that the rewriting would make are the request's already. So the
# kernel changes the source port as well, and no client takes an answer from another port.
# Usage: recipe_snat.sh nftables|iptables
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

case $1 in
nftables) need_netfilter nft ;;
iptables) need_netfilter iptables ;;
*) fail "unknown tool $1" ;;
esac
need conntrack
lab_topology_b
rp_filter 0 eth1
start_server bare "${LAB_ECHO[@]}"

rewrite_to() { # TOOL ADDRESS
    if [ "$1" = iptables ]; then
        on_server iptables -t nat -A POSTROUTING -p udp --sport "$LAB_PORT" -j SNAT --to-source "$2"
    else
        on_server nft -f - <<RULES
table ip multihome {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        udp sport $LAB_PORT counter snat to $2
    }
}
RULES
    fi
    forget_flows
}

take_back() { # TOOL
    if [ "$1" = iptables ]; then
        on_server iptables -t nat -F POSTROUTING
    else
        on_server nft delete table ip multihome
    fi
    forget_flows
}

for address in 192.0.2.3 198.51.100.2; do
    expect_bare_wrong "$address"
    rewrite_to "$1" "$address"
    for port in 40000 40001; do
        answer=$(ask "$address" --source-port "$port")
        [[ $answer == "$address#"* ]] || fail "asked $address, answered from $answer, should be another port of it"
        say "ok: asked $address port $LAB_PORT, answered from port ${answer#*#} of it: SNAT does not work"
    done
    take_back "$1"
done
