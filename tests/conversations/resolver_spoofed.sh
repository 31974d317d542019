#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Real resolvers whose upstream is spoofed: before each of their questions, a thousand datagrams in the upstream's name
# come to each address of the host. What a resolver asks the upstream must leave from where it leaves bare, that is from
# where routing says; its clients are answered from the address that they asked.
# Usage: resolver_spoofed.sh unbound|dnsmasq UPSTREAM-PORT
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=../lab/unbound.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/unbound.sh"
export PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

program=$1 upstream_port=$2
upstream=203.0.113.1
addresses=(192.0.2.2 192.0.2.3 198.51.100.2)
case $program in unbound | dnsmasq) ;; *) fail "unknown resolver $program" ;; esac
need "$program" dig
need_shim
lab_topology_b
lab_policy_rule

case $program in
unbound)
    unbound_settings "$LAB_DIR" "$LAB_PORT" >"$LAB_DIR/unbound.conf"
    cat >>"$LAB_DIR/unbound.conf" <<CONF
    interface: 0.0.0.0
    do-not-query-localhost: no
    local-data: "www.spoofed.test. A 192.0.2.80"
forward-zone:
    name: "."
    forward-addr: $upstream@$upstream_port
CONF
    resolver=("$(unconfined unbound)" -c "$LAB_DIR/unbound.conf")
    ;;
dnsmasq)
    resolver=("$(unconfined dnsmasq)" --keep-in-foreground --conf-file=/dev/null --port="$LAB_PORT" --user=root
        --no-resolv --no-hosts --pid-file= --log-facility=- --address=/www.spoofed.test/192.0.2.80
        --server="$upstream#$upstream_port")
    ;;
esac

mkfifo "$LAB_DIR/orders"
on_client "$LAB_PYTHON" "$here/spoofed_upstream.py" "$upstream" "$upstream_port" "$LAB_PORT" "${addresses[@]}" \
    <"$LAB_DIR/orders" >"$LAB_DIR/said" 2>"$LAB_DIR/upstream.log" &
disown
exec 9>"$LAB_DIR/orders"

# Waits until the upstream has said a line that begins with WORDS, and prints it.
said() { # WORDS
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        ! grep -m 1 "^$1" "$LAB_DIR/said" || return 0
        sleep 0.05
    done
    fail "the upstream does not say: $1"
}

said ready >/dev/null
spoofed=0
for mode in bare shim; do
    case $mode in
    bare) start_server "$mode" "${resolver[@]}" ;;
    shim) with_shim start_server "$mode" "${resolver[@]}" ;;
    esac
    for kind in junk mixed; do
        for index in "${!addresses[@]}"; do
            address=${addresses[$index]}
            name=$mode-$kind-$index.example.net
            spoofed=$((spoofed + 1))
            printf '1000 %s\n' "$kind" >&9
            said "spoofed $spoofed" >/dev/null
            # The client's own answer (bare, from wherever) does not count here.
            ask "$address" --dns "$name" >/dev/null
            source=$(said "$name ")
            source=${source##* }
            [ "$source" = 192.0.2.2 ] ||
                fail "$mode, spoofed with $kind, client asks $address: the upstream was asked from $source, not by routing"
            [ "$mode" = bare ] || expect_dig_right "$address" "$name"
        done
        say "ok: $mode, $kind: the upstream is asked from $source"
    done
    stop_server "$mode"
done
