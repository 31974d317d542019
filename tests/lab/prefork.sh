#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Forked workers: the parent receives, its child answers. Only a table that both share can know the address.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_a

for family in v4 v6 dual; do
    [ "$family" = v4 ] || [ -e /proc/sys/net/ipv6 ] || continue
    case $family in
    v4) addresses=(192.0.2.3) ;;
    v6) addresses=(2001:db8:1::3) ;;
    dual) addresses=(192.0.2.3 2001:db8:1::3) ;;
    esac
    say "$family server, bare"
    start_server "bare-$family" "${LAB_ECHO[@]}" --family "$family" --prefork
    for address in "${addresses[@]}"; do expect_bare_wrong "$address"; done
    stop_server "bare-$family"

    say "$family server, with the shim"
    with_shim start_server "shim-$family" "${LAB_ECHO[@]}" --family "$family" --prefork
    for address in "${addresses[@]}"; do
        expect_right "$address"
        answers=$(ask "$address" --count 50)
        [ "$(sort -u <<<"$answers")" = "$address" ] || fail "50 requests to $address: $(sort <<<"$answers" | uniq -c)"
    done
    stop_server "shim-$family"
done
