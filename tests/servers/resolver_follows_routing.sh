#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A program's client sockets follow the routing table, whatever its server sockets do. A forwarder asks its upstream
# from sockets of its own that are bound to the wildcard, and hears an answer there for each question: no reason to
# stick to the address that this one came to. The host's preferred source is changed between questions, and the
# upstream has to see each change, while clients are answered from the address that they asked. Bare and with the shim,
# so that it is seen to be the same.
# Usage: resolver_follows_routing.sh v4|v6
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=../lab/unbound.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/unbound.sh"
export PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
UPSTREAM_PORT=5399

family=$1
case $family in
v4)
    upstream=203.0.113.1 wildcard=0.0.0.0 addresses=(192.0.2.2 192.0.2.3 198.51.100.2)
    routes=('192.0.2.1 dev eth0 src 192.0.2.2' '192.0.2.1 dev eth0 src 192.0.2.3'
        '198.51.100.1 dev eth1 src 198.51.100.2' '192.0.2.1 dev eth0 src 192.0.2.2')
    ;;
v6)
    upstream=2001:db8:ffff::1 wildcard=:: addresses=(2001:db8:1::2 2001:db8:1::3 2001:db8:2::2)
    routes=('2001:db8:1::1 dev eth0 src 2001:db8:1::2' '2001:db8:1::1 dev eth0 src 2001:db8:1::3'
        '2001:db8:2::1 dev eth1 src 2001:db8:2::2' '2001:db8:1::1 dev eth0 src 2001:db8:1::2')
    need_ipv6
    ;;
*) fail "unknown family $family" ;;
esac
need unbound dig
need_shim
lab_topology_b
lab_policy_rule
# The same for the first interface, so that the default route can leave it without strict rp_filter cutting it off.
ip -n "$LAB_SERVER" route add default via 192.0.2.1 dev eth0 table 41
ip -n "$LAB_SERVER" rule add from 192.0.2.0/24 lookup 41
if [ -e /proc/sys/net/ipv6 ]; then
    ip -n "$LAB_SERVER" -6 route add default via 2001:db8:1::1 dev eth0 table 41
    ip -n "$LAB_SERVER" -6 rule add from 2001:db8:1::/64 lookup 41
fi

on_client "$LAB_PYTHON" "$here/programs/upstream.py" "$upstream" "$UPSTREAM_PORT" \
    >"$LAB_DIR/asked" 2>"$LAB_DIR/upstream.log" &
disown
for ((tries = 0; tries < 400; tries++)); do
    [ "$(LAB_SERVER=$LAB_CLIENT lab_sockets_on "$UPSTREAM_PORT")" -eq 0 ] || break
    sleep 0.05
done

unbound_settings "$LAB_DIR" "$LAB_PORT" >"$LAB_DIR/unbound.conf"
cat >>"$LAB_DIR/unbound.conf" <<CONF
    interface: $wildcard
    do-not-query-localhost: no
forward-zone:
    name: "."
    forward-addr: $upstream@$UPSTREAM_PORT
CONF

# Asks for a name that has not been asked for, so that the upstream has to be asked. Where the client's answer comes
# from (bare, from anywhere) does not count here.
asked_from() { # ADDRESS NAME: prints where the upstream was asked from
    local tries
    ask "$1" --dns "$2" >/dev/null
    for ((tries = 0; tries < 100; tries++)); do
        ! grep -q "^$2 " "$LAB_DIR/asked" || break
        sleep 0.05
    done
    sed -n "s/^$2 //p" "$LAB_DIR/asked" | sort -u | paste -sd ' '
}

version=4
[ "$family" = v4 ] || version=6
for mode in bare shim; do
    case $mode in
    bare) start_server "$mode" "$(unconfined unbound)" -c "$LAB_DIR/unbound.conf" ;;
    shim) with_shim start_server "$mode" "$(unconfined unbound)" -c "$LAB_DIR/unbound.conf" ;;
    esac
    for step in "${!routes[@]}"; do
        route=${routes[$step]}
        # shellcheck disable=SC2086 # a route is several words
        ip -n "$LAB_SERVER" "-$version" route replace default via $route
        [[ $route != *eth1* ]] || ip -n "$LAB_SERVER" "-$version" route delete default dev eth0 2>/dev/null || true
        [[ $route != *eth0* ]] || ip -n "$LAB_SERVER" "-$version" route delete default dev eth1 2>/dev/null || true
        wanted=${route##* }
        for index in "${!addresses[@]}"; do
            address=${addresses[$index]}
            name=$mode-$step-$index.example.net
            source=$(asked_from "$address" "$name")
            [ "$source" = "$wanted" ] ||
                fail "$mode, default via $route, client asks $address: the upstream was asked from ${source:-nowhere}"
            say "ok: $mode, default via $route, client asks $address: the upstream is asked from $source"
            # By now it is in the cache, and what remains is the answer to the client.
            [ "$mode" = bare ] || expect_dig_right "$address" "$name"
        done
    done
    stop_server "$mode"
done
