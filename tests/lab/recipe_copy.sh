#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `multihomectl recipe --verify` touches its copy alone, also where /proc is of another namespace of processes, in which the
# numbers of its own processes are those of others. Those are the test's own here.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

lab_start
unshare --pid --fork --mount-proc true 2>/dev/null || skip "no namespace of processes can be made"
# shellcheck disable=SC2016 # for the inner shell
unshare --pid --net --fork --kill-child --mount-proc sh -euc '
    ip link set lo up
    for link in 0 1; do
        ip link add eth$link type veth peer name up$link
        ip link set eth$link up
        ip link set up$link up
        ip address add 192.0.$link.2/24 dev eth$link
    done
    ip route add default via 192.0.0.1
    for number in $(seq 60); do sleep 100 & done
    ip -o -4 address >"$1/before"
    unshare --pid --fork "$0" recipe routing --gateway 192.0.1.1 --verify
    ip -o -4 address >"$1/after"' "$MULTIHOMECTL" "$LAB_DIR" >"$LAB_DIR/said" 2>&1 || fail "--verify: $(cat "$LAB_DIR/said")"
diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "--verify has changed the network that it was called in"
say "ok: $(tail -n 1 "$LAB_DIR/said")"
