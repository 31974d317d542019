#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A multicast request is answered from where the routing table says. Where there are no rules, for IPv4 this is the
# address that the kernel names for it (ipi_spec_dst). IPv6 names only the group: there the answer is what a bare server
# gives, and must not get lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_b
group=239.1.1.1
group6=ff15::5300
joined=(--join "$group" eth0 --join "$group" eth1)
on_link=(--interface up0 --source 192.0.2.1 --source-port 40000)
on_second_link=(--interface up1 --source 198.51.100.1 --source-port 40000)

named_by_kernel() { # ADDRESS [OPTION...]: the address that ipi_spec_dst holds
    local answer
    answer=$(ask "$@" --payload)
    [[ $answer =~ spec_dst=([0-9.]+) ]] || fail "the oracle did not say: $answer"
    printf '%s\n' "${BASH_REMATCH[1]}"
}

start_server oracle "${LAB_ECHO[@]}" --oracle "${joined[@]}"
first=$(named_by_kernel "$group" "${on_link[@]}")
second=$(named_by_kernel "$group" "${on_second_link[@]}")
stop_server oracle
say "the kernel names $first and $second"
[ "$first $second" = "192.0.2.2 198.51.100.2" ] || fail "the kernel names other addresses"

for family in v4 dual; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    # A group that an IPv6 socket joined for IPv4 still has to be joined through the IPv4 option, as --join does.
    say "$family server, bare"
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family" "${joined[@]}"
    expect_bare_wrong 192.0.2.3 "${on_link[@]}"
    expect_answer "$first" "$group" "${on_link[@]}"
    stop_server "bare-$family"

    say "$family server, with the shim"
    with_shim start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family" "${joined[@]}"
    for _ in 1 2; do
        expect_right 192.0.2.3 "${on_link[@]}"
        expect_answer "$first" "$group" "${on_link[@]}"
        expect_answer "$second via up1" "$group" --via "${on_second_link[@]}"
    done
    stop_server "shim-$family"
done

[ -e /proc/sys/net/ipv6 ] || exit 0
say "v6 server, bare"
start_server bare-v6 "${LAB_ECHO[@]}" --family v6 --join "$group6" eth0
expect_bare_wrong 2001:db8:1::3
bare=$(ask "$group6" --interface up0)
[[ $bare == 2001:db8:1::* ]] || fail "asked $group6 bare, answered from $bare"
stop_server bare-v6

say "v6 server, with the shim"
with_shim start_server shim-v6 "${LAB_ECHO[@]}" --family v6 --join "$group6" eth0
for _ in 1 2; do
    expect_right 2001:db8:1::3
    expect_answer "$bare" "$group6" --interface up0
done
stop_server shim-v6
