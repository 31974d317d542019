#!/bin/bash
# SPDX-License-Identifier: MIT
# One client port that asks several addresses: order.sh same|batches. Answered before it asks again, and in bursts:
# each answer leaves from the address that its question was sent to.
#   same     a loop of recvfrom and sendto
#   batches  reads two, answers two
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
how=$1
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
lab_topology_b
lab_policy_rule
engine_start
in_group start_server server "$server" "$LAB_PORT" dual "$how"
engine_attach

# How many of the answers to questions from one port left from another address than the one asked.
wrong() { # ADDRESSES [OPTION...]
    ask "$@" | awk '$1 != $2 { wrong++ } END { print wrong + 0, "of", NR }'
}

expect_exact() { # TEXT ADDRESSES [OPTION...]
    local found
    found=$(wrong "${@:2}")
    [ "${found%% *}" -le "$allowed" ] || fail "$1: $found answers left from another address"
    say "ok: $1: $found wrong"
}

two=192.0.2.3,198.51.100.2
# A server that reads on before it answers: what it has read before the second address was asked is not known to be first.
allowed=0
count=100
if [ "$how" = batches ]; then allowed=1 count=20; fi # it waits for a second question after each
expect_exact "answered before the next question" "$two" --count "$count"
expect_exact "two questions under way" "$two" --count $((2 * count)) --pipeline 2
if [ "$how" = same ]; then
    expect_exact "ten questions under way" "$two" --count 200 --pipeline 10
    expect_exact "three addresses, each answered before the next" "$two,192.0.2.2" --count 50
fi
if [ -e /proc/sys/net/ipv6 ]; then
    expect_exact "IPv6, two questions under way" 2001:db8:1::3,2001:db8:2::2 --count "$count" --pipeline 2
fi
