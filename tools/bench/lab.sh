#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The shim against what an administrator would do in the kernel: every datagram redirected to the primary address, and
# connection tracking to put the original one back on the answer. Started by multihome-bench, which names itself in
# MULTIHOME_BENCH and the library in MULTIHOME_LIBRARY.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/lab.sh"

BENCH=${MULTIHOME_BENCH:?}
TURNS=${MULTIHOME_BENCH_TURNS:-3}
ASKED=192.0.2.3 # not the address that the routing table prefers
declare -A PORT=([bare]=5300 [native]=5301 [shim]=5302 [redirect]=5300)
declare -A RATES=() TIMES=() RIGHT=()

need nft conntrack
need_shim
[ -x "$BENCH" ] || fail "no $BENCH"

figure() { # GROUP SUBJECT UNIT NOTE VALUE...
    local IFS=$'\t'
    printf 'figure\t%s\n' "$*"
}

redirect_on() {
    local output
    output=$(on_server nft 'table ip multihome {
        chain prerouting {
            type nat hook prerouting priority dstnat; policy accept;
            iifname "eth0" meta l4proto udp fib daddr type local counter redirect
        }
    }' 2>&1) || skip "this kernel cannot redirect: ${output%%$'\n'*}"
    on_server conntrack -F >/dev/null 2>&1
}
redirect_off() { on_server nft delete table ip multihome; }

# Nanoseconds that a server has run. It has one thread.
run_time() { # NAME
    local -a fields
    read -ra fields <"/proc/$(server_pid "$1")/schedstat"
    printf '%s\n' "${fields[0]}"
}

server_of() { if [ "$1" = redirect ]; then echo bare; else echo "$1"; fi; } # SUBJECT

# One turn of a subject; adds to RATES, TIMES and RIGHT.
turn() { # SUBJECT
    local subject=$1 server before after answers right seconds used
    server=$(server_of "$subject")
    [ "$subject" != redirect ] || redirect_on
    before=$(run_time "$server")
    read -r answers right seconds used < <(on_client "$BENCH" ask --address "$ASKED" --port "${PORT[$subject]}" \
        --milliseconds 300)
    after=$(run_time "$server")
    [ "$subject" != redirect ] || redirect_off
    [ "$answers" -gt 0 ] || fail "$subject: no answers"
    RATES[$subject]+=" $(awk "BEGIN { print $answers / $seconds }")"
    # Both ends, because the kernel's part of the work is done in the context of whoever sends.
    TIMES[$subject]+=" $(awk "BEGIN { print ($after - $before + $used * 1e9) / $answers }")"
    RIGHT[$subject]=$(awk "BEGIN { printf \"%.4g %% right\", 100 * $right / $answers }")
}

# Many peers, each of which asks once in each pass; prints "ANSWERS RIGHT" of the last one.
sweep() { # SUBJECT FIRST COUNT [PASSES]
    local answers right rest
    read -r answers right rest < <(on_client "$BENCH" ask --address "$ASKED" --port "${PORT[$1]}" --sweep "$2" \
        --count "$3" --passes "${4:-1}")
    printf '%s %s\n' "$answers" "$right"
}

share() { awk "BEGIN { print 100 * $1 / $2 }"; }

# What becomes of new peers when the kernel's table is full of flows that it does not give up (those that have gone on
# for more than two seconds). The limit is the host's, so we fill it and leave it as it is.
full_table() {
    local limit peers=2000 right rest group
    limit=$(on_server cat /proc/sys/net/netfilter/nf_conntrack_max 2>/dev/null) || return 0
    group="$peers new peers when nf_conntrack_max ($limit) is reached"
    if [ "$limit" -gt 300000 ]; then
        say "not measured: $group"
        return 0
    fi
    redirect_on
    sweep redirect 10.0.0.0 "$limit" 2 >/dev/null
    read -r rest right < <(sweep redirect 10.100.0.0 "$peers")
    figure "$group" redirect "% right" "$(on_server cat /proc/sys/net/netfilter/nf_conntrack_count) flows" \
        "$(share "$right" "$peers")"
    on_server conntrack -F >/dev/null 2>&1
    redirect_off
    sweep shim 10.0.0.0 "$limit" 2 >/dev/null
    read -r rest right < <(sweep shim 10.100.0.0 "$peers")
    figure "$group" shim "% right" "after as many peers" "$(share "$right" "$peers")"
}

memory() {
    local size
    size=$(awk '$1 == "nf_conntrack" { print $4 }' /proc/slabinfo 2>/dev/null) || size=
    if [ -n "$size" ]; then
        figure "memory for each peer" redirect bytes "an entry of connection tracking without its extensions" "$size"
    fi
    figure "memory for each peer" shim bytes "two words of the table" 16
}

lab_topology_a
# The client is as many peers as there are addresses in 10.0.0.0/8.
ip -n "$LAB_CLIENT" route add local 10.0.0.0/8 dev lo
start_server -p "${PORT[bare]}" bare "$BENCH" server --port "${PORT[bare]}"
start_server -p "${PORT[native]}" native "$BENCH" server --native --port "${PORT[native]}"
with_shim start_server -p "${PORT[shim]}" shim "$BENCH" server --port "${PORT[shim]}"

for ((count = 0; count < TURNS; count++)); do
    for subject in bare native shim redirect; do
        turn "$subject"
    done
done
for subject in bare native shim redirect; do
    # shellcheck disable=SC2086 # a list of numbers
    figure "through a veth pair, 512 bytes, saturated" "$subject" answers/s "${RIGHT[$subject]}" ${RATES[$subject]}
done
for subject in bare native shim redirect; do
    # shellcheck disable=SC2086
    figure "the same, processor time of both ends" "$subject" ns "" ${TIMES[$subject]}
done
memory
[ -n "${MULTIHOME_BENCH_QUICK:-}" ] || full_table
