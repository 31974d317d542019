#!/bin/bash
# SPDX-License-Identifier: MIT
#
# One client port asks two addresses in turn, with many requests under way at once. What the server knows of the peer
# alone is not enough here: each answer has to come from the address that its own request asked.
# Usage: one_port_two_addresses.sh recvfrom|recvmsg
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

calls=$1
need_shim
lab_topology_a
requests=500

# Prints how many of the answers came from another address than was asked.
wrong() { # ADDRESS,ADDRESS
    local answers
    answers=$(ask "$1" --count "$requests" --pipeline 40 --source-port 40000)
    [ "$(wc -l <<<"$answers")" -eq $((2 * requests)) ] || fail "not every request has its line"
    awk '$1 != $2 { n++ } END { print n + 0 }' <<<"$answers"
}

for family in v4 v6; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    case $family in
    v4) both=192.0.2.2,192.0.2.3 ;;
    v6) both=2001:db8:1::2,2001:db8:1::3 ;;
    esac
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family" --calls "$calls"
    count=$(wrong "$both")
    [ "$count" -eq "$requests" ] || fail "$family bare: $count wrong, should be half of them, $requests"
    say "ok: $family bare, $count of $((2 * requests)) answers wrong"
    stop_server "bare-$family"

    with_shim start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family" --calls "$calls"
    count=$(wrong "$both")
    [ "$count" -eq 0 ] || fail "$family with the shim: $count of $((2 * requests)) answers wrong"
    say "ok: $family with the shim, 0 of $((2 * requests)) answers wrong"
    stop_server "shim-$family"
done
