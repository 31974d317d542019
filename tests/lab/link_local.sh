#!/bin/bash
# SPDX-License-Identifier: MIT
#
# IPv6 link-local. The same peer address and port may exist on every link, and the same local address too, so only the
# interface tells them apart. A link-local peer may also ask a global address, and the other way round.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_ipv6
need_shim
lab_topology_b

for family in v6 dual; do
    say "$family server, bare"
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family"
    expect_right fe80::2%up0
    expect_bare_wrong fe80::3%up0
    expect_bare_wrong fe80::3%up1
    expect_bare_wrong 2001:db8:1::2 --source fe80::1%up0
    stop_server "bare-$family"

    say "$family server, with the shim"
    with_shim start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family"
    for _ in 1 2; do
        expect_answer "fe80::3 via up0" fe80::3%up0 --source fe80::1%up0 --source-port 40000 --via
        expect_answer "fe80::2 via up1" fe80::2%up1 --source fe80::1%up1 --source-port 40000 --via
        expect_answer "fe80::2 via up0" fe80::2%up0 --source fe80::1%up0 --source-port 40000 --via
        expect_answer "fe80::3 via up1" fe80::3%up1 --source fe80::1%up1 --source-port 40000 --via
        expect_answer "2001:db8:1::2 via up0" 2001:db8:1::2 --source fe80::1%up0 --source-port 40000 --via
    done
    stop_server "shim-$family"
done
