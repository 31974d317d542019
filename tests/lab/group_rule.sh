#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A rule for the server's port (an interface, a mark or a user would do as well) chooses the source of what it sends.
# The kernel's ipi_spec_dst knows of no such rule, and names another one. The answer to a broadcast or to a group leaves
# from where it does without the shim, also for a peer that is known at another address.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_a
ip -n "$LAB_SERVER" route add default via 192.0.2.1 dev eth0 src 192.0.2.3 table 100
ip -n "$LAB_SERVER" rule add ipproto udp sport "$LAB_PORT" lookup 100
group=239.1.1.1
beyond=(--source 203.0.113.1 --source-port 40000)

for family in v4 dual; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    serve=("${LAB_ECHO[@]}" --family "$family" --join "$group" eth0)
    start_server "bare-$family" "${serve[@]}"
    for request in "$group" 192.0.2.255 255.255.255.255; do
        expect_answer 192.0.2.3 "$request" --broadcast --interface up0 "${beyond[@]}"
    done
    stop_server "bare-$family"

    with_shim start_server "shim-$family" "${serve[@]}"
    for _ in 1 2 3; do
        for request in "$group" 192.0.2.255 255.255.255.255; do
            expect_answer 192.0.2.3 "$request" --broadcast --interface up0 "${beyond[@]}"
        done
        expect_answer 192.0.2.2 192.0.2.2 "${beyond[@]}"
    done
    stop_server "shim-$family"
done
