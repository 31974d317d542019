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

# After a call that was killed there is something to remove, or not.
engine_detach_what_is_left() { "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" || true; }

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

# Killed at its steps: the program stops itself there by a debugger's means, a fault that strace puts in.
kill_at() { # SYSTEM-CALL NUMBER attach|detach
    strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" \
        "$ENGINE_TOOL" "$3" -q --cgroup "$ENGINE_GROUP" 2>/dev/null || true
}
count_calls() { # SYSTEM-CALL attach|detach: runs it to its end
    strace -f -qq -o "$LAB_DIR/calls" -e "trace=$1" "$ENGINE_TOOL" "$2" -q --cgroup "$ENGINE_GROUP" ||
        fail "$2 under strace"
    wc -l <"$LAB_DIR/calls"
}
if command -v strace >/dev/null; then
    # The first thing that outlives attach is the directory; what is pinned and linked comes after it, in the last calls.
    calls=$(count_calls bpf attach)
    made=$(grep -cE 'BPF_OBJ_PIN|BPF_LINK_CREATE' "$LAB_DIR/calls")
    engine_detach
    [ "$made" -ge 16 ] || fail "strace shows $made links and pins of $calls calls of bpf(2)"
    for ((step = calls; step > 0; step -= step > calls - made - 2 ? 1 : 5)); do
        kill_at bpf "$step" attach
        engine_detach_what_is_left
        expect_nothing "attach, killed at call $step of $calls of bpf(2), then detach"
    done
    kill_at rename,renameat,renameat2 1 attach
    engine_detach_what_is_left
    expect_nothing "attach, killed as it names what it has made, then detach"
    engine_attach
    removals=$(count_calls unlink,unlinkat,rmdir detach)
    [ "$removals" -ge 10 ] || fail "strace shows only $removals calls that remove"
    for ((step = 1; step <= removals; step++)); do
        engine_attach
        kill_at unlink,unlinkat,rmdir "$step" detach
        engine_detach_what_is_left
        expect_nothing "detach, killed at call $step of $removals that remove, then detach"
    done
    engine_attach
    kill_at rename,renameat,renameat2 1 detach
    engine_detach_what_is_left
    expect_nothing "detach, killed before it has begun, then detach"
else
    say "SKIP: strace is not installed: not killed at its steps"
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
