#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A broadcast request is answered from where the routing table says. Where there are no rules, this is the address that
# the kernel names for it (ipi_spec_dst), and an oracle server says which one that is. The same client port asks other
# addresses in between: what is known of those must not decide the broadcast's answer.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_b
on_link=(--source 192.0.2.1 --source-port 40000)
on_second_link=(--source 198.51.100.1 --source-port 40000)

named_by_kernel() { # ADDRESS [OPTION...]: the address that ipi_spec_dst holds
    local answer
    answer=$(ask "$@" --broadcast --payload)
    [[ $answer =~ spec_dst=([0-9.]+) ]] || fail "the oracle did not say: $answer"
    printf '%s\n' "${BASH_REMATCH[1]}"
}

start_server oracle "${LAB_ECHO[@]}" --oracle
first=$(named_by_kernel 192.0.2.255 "${on_link[@]}")
everybody=$(named_by_kernel 255.255.255.255 --interface up0 "${on_link[@]}")
second=$(named_by_kernel 198.51.100.255 "${on_second_link[@]}")
stop_server oracle
say "the kernel names $first, $everybody and $second"
[ "$first $everybody $second" = "192.0.2.2 192.0.2.2 198.51.100.2" ] || fail "the kernel names other addresses"

for family in v4 dual; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    say "$family server, bare"
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family"
    expect_bare_wrong 192.0.2.3 "${on_link[@]}"
    expect_answer "$first" 192.0.2.255 --broadcast "${on_link[@]}"
    stop_server "bare-$family"

    say "$family server, with the shim"
    with_shim start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family"
    for _ in 1 2; do
        expect_right 192.0.2.3 "${on_link[@]}"
        expect_answer "$first" 192.0.2.255 --broadcast "${on_link[@]}"
        expect_answer "$everybody" 255.255.255.255 --broadcast --interface up0 "${on_link[@]}"
        expect_answer "$second via up1" 198.51.100.255 --broadcast --via "${on_second_link[@]}"
    done
    stop_server "shim-$family"
done
