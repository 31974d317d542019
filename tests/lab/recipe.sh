#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel's way, by `multihomectl recipe`: before it the answers are wrong, with it they are right and leave through
# the right uplink, and after --undo the host is as it was, byte for byte.
# Usage: recipe.sh one-interface|two-interfaces nft|iptables
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

kind=$1 format=$2
need conntrack
need_netfilter nft iptables
need_ipv6
addresses=(192.0.2.2 192.0.2.3 2001:db8:1::2 2001:db8:1::3)
case $kind in
one-interface)
    lab_topology_a
    options=()
    ;;
two-interfaces)
    lab_topology_b
    addresses+=(198.51.100.2 2001:db8:2::2)
    options=(--gateway 198.51.100.1 --gateway 2001:db8:2::1)
    ;;
*) fail "unknown recipe $kind" ;;
esac
# Where no route names it, the kernel chooses among IPv6 addresses by the order in which they came. The copy on which
# --verify tries the recipe has to have the same order.
on_server ip address add 2001:db8:1::4/64 dev eth0 nodad
on_server ip -6 route replace default via 2001:db8:1::1 dev eth0
addresses+=(2001:db8:1::4)
lab_await_addresses

asked() { # STATUS: what ask has to exit with
    local status=0 patience=0.5
    [ "$1" -ne 0 ] || patience=10 # where all is right, nobody waits so long
    on_client "$MULTIHOMECTL" ask "${addresses[@]}" --port "$LAB_PORT" --payload echo --timeout "$patience" || status=$?
    [ "$status" -eq "$1" ] || fail "ask exits with $status, should be $1"
}

ask_port() { on_client "$MULTIHOMECTL" ask 192.0.2.3 --port "$1" --payload echo --timeout 10; } # PORT

expect_refused() { # STATUS PATTERN COMMAND...: it ends so, and says this
    local status=0
    "${@:3}" >"$LAB_DIR/said" 2>&1 || status=$?
    # shellcheck disable=SC2053 # a pattern
    [[ $status -eq $1 && $(cat "$LAB_DIR/said") == $2 ]] || fail "${*:3}: $status: $(cat "$LAB_DIR/said")"
}

apply() { # OPTION...
    apply_recipe "$kind" "${options[@]}" --format "$format" "$@"
    # Strict rp_filter has dropped the client's ARP, too; what it sends while that is being tried again is lost.
    [ "$kind" = one-interface ] || ip -n "$LAB_CLIENT" neigh flush dev up1
}

# What is not ours has to stay: a rule and a table of the operator's, and a chain of iptables.
on_server nft -f - <<'RULES'
table ip mine {
    chain prerouting { type nat hook prerouting priority dstnat; udp dport 9 redirect to :10; }
}
RULES
on_server ip rule add fwmark 7 pref 42 table 7
on_server iptables -t mangle -A INPUT -p udp --dport 9 -j MARK --set-mark 9

# Bound to one of the addresses, not to the wildcard: the recipe must not take its datagrams away. Java and Netty bind an
# IPv6 socket to an IPv4 address.
start_server -p 5301 bound "${LAB_ECHO[@]}" --bind 192.0.2.3 --port 5301
start_server -p 5302 mapped "${LAB_ECHO[@]}" --family dual --bind ::ffff:192.0.2.3 --port 5302
start_server -p 10 redirected "${LAB_ECHO[@]}" --port 10
start_server bare "${LAB_ECHO[@]}" --family dual
snapshot . >"$LAB_DIR/before"
say "before:" && asked 1

apply --verify
say "with the recipe:" && asked 0 && asked 0
for port in 5301 5302; do
    ask_port "$port" || fail "a server bound to 192.0.2.3 is cut off"
done
# The rules of iptables have one place, which nothing can put behind an older chain of the operator's.
[ "$format" = iptables ] || ask_port 9 || fail "what somebody else translates is translated otherwise"
if [ "$kind" = two-interfaces ]; then
    for address in 198.51.100.2 2001:db8:2::2; do
        expect_answer "$address via up1" "$address" --via
        expect_answer "$address via up1" "$address" --via --source-port 40000
    done
    expect_answer "192.0.2.3 via up0" 192.0.2.3 --via
fi
expect_refused 2 "*the recipe $kind is applied already*" recipe "$kind" "${options[@]}" --format "$format" --apply

say "tried on a copy, and what is applied looked at:"
recipe "$kind" "${options[@]}" --format "$format" --verify || fail "--verify exits with $?"
if [ "$kind" = two-interfaces ]; then
    say "without its routing rule the answer takes the wrong uplink, and --verify says so:"
    on_server ip rule del pref 43
    forget_flows
    expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
    expect_refused 1 '*no longer in place: what has the mark 43*' \
        recipe "$kind" "${options[@]}" --format "$format" --verify
fi

# Without the tool nothing is taken back, and nobody may say so.
[ "$format" = nft ] && tool=nft || tool=iptables
status=0
: >"$LAB_DIR/no_program"
# shellcheck disable=SC2016 # for the inner shell
with_own_run sh -c 'mount --bind "$1" "$0" && shift && exec "$@"' "$(realpath "$(command -v "$tool")")" "$LAB_DIR/no_program" \
    "$MULTIHOMECTL" recipe "$kind" --undo >"$LAB_DIR/said" 2>&1 || status=$?
[[ $status -eq 2 && $(cat "$LAB_DIR/said") == *": $tool is not installed"* ]] || fail "no $tool: $status: $(cat "$LAB_DIR/said")"
recipe "$kind" --undo
snapshot . >"$LAB_DIR/after"
diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "--undo did not leave the host as it was"
say "after --undo:" && asked 1
recipe "$kind" --undo | grep -q 'nothing to take back' || fail "--undo twice"

say "a firewall that accepts what is translated:"
on_server nft -f - <<'RULES'
table inet firewalld {
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct status dnat accept
        udp dport 10 reject
    }
}
RULES
snapshot . >"$LAB_DIR/before"
expect_refused 2 '*firewalld*--port*' recipe "$kind" "${options[@]}" --format "$format" --apply
snapshot . >"$LAB_DIR/after"
diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "applied all the same"
apply --port "$LAB_PORT"
asked 0
expect_refused 1 '*192.0.2.3 *refused*' ask_port 10 # which the firewall blocks
recipe "$kind" --undo
