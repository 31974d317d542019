#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What scripts/demo.sh shows: without multihome some answers are wrong, with it none. Colours are for terminals that know
# them.
set -euo pipefail

demo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)/demo.sh
skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}
fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}
[ "$(id -u)" -eq 0 ] || skip "needs root"
# What the demonstration would install, this test does not.
for command in script ip dig unbound cmake g++ make pkg-config; do
    command -v "$command" >/dev/null || skip "$command is not installed"
done
[ -x /usr/bin/python3 ] || skip "python3 is not installed"

show() { # TERMINAL: runs it on one of that kind
    env -u NO_COLOR TERM="$1" script --quiet --return --command "'$demo'" /dev/null </dev/null 2>&1
}
escape=$'\e'

said=$(show dumb) || fail "it ends with $?: $said"
[[ $said != *"$escape"* ]] || fail "it sends colours to a dumb terminal: $said"
grep -q '|.*WRONG.*|' <<<"$said" || fail "no answer is wrong without multihome: $said"
! grep -q '|.*|.*WRONG' <<<"$said" || fail "an answer is wrong with multihome: $said"
grep -q '|.*|.*ok' <<<"$said" || fail "no answer is right with multihome: $said"

said=$(show xterm) || fail "on a terminal with colours it ends with $?: $said"
[[ $said == *"$escape"* ]] || fail "it sends no colours to a terminal that knows them: $said"
