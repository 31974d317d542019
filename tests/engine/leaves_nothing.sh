#!/bin/bash
# SPDX-License-Identifier: MIT
# attach, detach: no program, map, link or pin is left; nor when attach is killed at any step, after the next detach.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
lab_start
engine_start
need bpftool
identity=$(stat -c %i "$ENGINE_GROUP")
pins=/sys/fs/bpf/multihome

# Tests run side by side, so only what belongs to this control group counts: its programs, its pins.
left() {
    bpftool cgroup show "$ENGINE_GROUP" 2>/dev/null | grep -v '^ID' || true
    find "$pins" -maxdepth 1 -name "*$identity" 2>/dev/null || true
}
expect_nothing() {
    local found tries
    # The kernel frees a link's program a moment after its last holder is gone.
    for ((tries = 0; tries < 40; tries++)); do
        found=$(left)
        [ -n "$found" ] || { say "ok: $1: nothing is left" && return; }
        sleep 0.05
    done
    fail "$1: left: $found"
}

expect_nothing "before"
engine_attach
[ "$(bpftool cgroup show "$ENGINE_GROUP" | grep -c learn)" -eq 1 ] || fail "attach has attached nothing"
! "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP" 2>/dev/null || fail "attached twice"
[ "$(stat -c %a "$pins/$identity")" = 700 ] || fail "others than root may look at the pins"
for pin in "$pins/$identity"/*; do
    [ "$(stat -c '%a %u' "$pin")" = '600 0' ] || fail "others than root may open $pin"
done
engine_detach
expect_nothing "detach"
! "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" || fail "detach says that it did something"

# Killed at each of its steps: the program stops itself there by a debugger's means, a fault that strace puts in.
if command -v strace >/dev/null; then
    for step in 1 2 3 5 8 11 14 17; do
        strace -f -qq -o /dev/null -e trace=bpf -e inject=bpf:signal=KILL:when=$((step * 6)) \
            "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP" 2>/dev/null || true
        "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" || true
        expect_nothing "killed at call $((step * 6)) of bpf(2), then detach"
    done
    engine_attach
    for call in rename,renameat,renameat2 unlink,unlinkat rmdir,unlinkat; do
        strace -f -qq -o /dev/null -e trace="$call" -e inject="$call":signal=KILL:when=1 \
            "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" 2>/dev/null || true
    done
    "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" || true
    expect_nothing "detach, killed at its steps, then detach"
fi

# The control group goes while the engine is attached: list says so, and detach removes what is left.
engine_attach
group=$ENGINE_GROUP
rmdir "$group"
status=0
"$ENGINE_TOOL" list >"$LAB_DIR/list" || status=$?
mkdir "$group"
if [ "$status" -ne 1 ] || ! grep -q gone "$LAB_DIR/list"; then
    fail "list does not show that the control group is gone"
fi
"$ENGINE_TOOL" detach -q --cgroup "/${group##*/}" >/dev/null || true
[ ! -e "$pins/$identity" ] || fail "detach leaves the pins of a control group that is gone"
say "ok: a control group that is gone"
