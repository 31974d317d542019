#!/bin/bash
# SPDX-License-Identifier: MIT
# multihome --engine kernel|auto: a program that preloading cannot reach is served in a control group of its own, which is
# gone when it has ended, however it ended. Signals and exit statuses pass through.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
need nsenter unshare
need_shim
lab_topology_b
lab_policy_rule
engine_start
# As it lies in the source tree.
mkdir -p "$LAB_DIR/tree/scripts" "$LAB_DIR/tree/build"
cp "$LAB_HERE/../../scripts/multihome" "$LAB_DIR/tree/scripts/"
cp "$ENGINE_TOOL" "$LAB_DIR/tree/build/multihomectl"
cp "$MULTIHOME_LIBRARY" "$LAB_DIR/tree/build/libmultihome.so"
# `ip netns exec` hides the tree of control groups.
in_place=(nsenter "--net=/run/netns/$LAB_SERVER" env)
launcher=$LAB_DIR/tree/scripts/multihome

groups_left() { find "$ENGINE_GROUP" -mindepth 1 -type d; }
left_attached() { attached | grep -F "${ENGINE_GROUP##*/}/"; }
expect_gone() {
    [ -z "$(groups_left)" ] || fail "$1: the control group is left: $(groups_left)"
    if left_attached; then fail "$1: the engine is left"; fi
    say "ok: $1: nothing is left"
}
# What was left goes with any call of the tool. One that another test has started may be half way through.
expect_swept() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        "$ENGINE_TOOL" detach -q --cgroup /none || true
        if [ -z "$(groups_left)" ] && ! left_attached >/dev/null; then break; fi
        sleep 0.05
    done
    expect_gone "$1"
}
await_group() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ "$(lab_sockets_on 5301)" -eq 0 ] || return 0
        sleep 0.05
    done
    fail "the server does not start: $(cat "$LAB_DIR/launched.log")"
}
# In the test's control group, so that what it makes is below that one.
launch() { # OPTION...
    (
        echo 0 >&9
        exec 9>&-
        exec "${in_place[@]}" "$launcher" "$@" "$server" 5301 v4
    ) >"$LAB_DIR/launched.log" 2>&1 &
    launched=$!
    await_group
}

LAB_PORT=5301
for engine in kernel auto; do
    launch -v --engine "$engine"
    grep -q '^multihome: engine kernel, attached to' "$LAB_DIR/launched.log" || fail "it does not say what it did"
    for address in "${ENGINE_V4[@]}"; do expect_right "$address"; done
    kill -TERM "$launched"
    status=0
    wait "$launched" || status=$?
    [ "$status" -eq 143 ] || fail "$engine: ended by SIGTERM, the status is $status"
    expect_gone "$engine"
done
# Those that few programs know end the command, and not the tool without it.
for number in "$(kill -l IO)" "$(kill -l RTMIN)"; do
    launch --engine kernel
    kill -"$number" "$launched"
    status=0
    wait "$launched" || status=$?
    [ "$status" -eq $((128 + number)) ] || fail "ended by signal $number, the status is $status"
    expect_gone "signal $number"
done

# A container may see the control groups, and no pins but its own.
other_pins() { unshare --mount sh -c 'mount -t bpf bpf /sys/fs/bpf && exec "$@"' sh "$@"; }
for sweep in "" other_pins; do
    launch --engine kernel --ports 53
    expect_bare_wrong 192.0.2.3
    # Killed: the server goes on, and is served; what is left goes when it has ended.
    kill -KILL "$launched"
    wait "$launched" || true
    $sweep "$ENGINE_TOOL" detach -q --cgroup "$(groups_left)/none" || true
    [ -n "$(groups_left)" ] || fail "the control group of a running server was taken away"
    xargs kill -KILL <"$(groups_left)/cgroup.procs"
    for ((tries = 0; tries < 200; tries++)); do
        $sweep "$ENGINE_TOOL" detach -q --cgroup /none || true
        [ -n "$(groups_left)" ] || break
        sleep 0.05
    done
    [ -z "$(groups_left)" ] || fail "${sweep:-detach}: the control group of a dead server is left"
    expect_swept "killed, then detach${sweep:+ where the pins are others}"
done

status=0
"$launcher" --engine kernel sh -c 'exit 7' || status=$?
[ "$status" -eq 7 ] || fail "the status is $status instead of 7"
# What the caller had set before this program took its place: an alarm is the command's, and so is that nobody waits.
as_caller() { # PYTHON COMMAND...
    timeout --signal=KILL 100 "$LAB_PYTHON" -c "import os, signal, sys; $1; os.execv(sys.argv[1], sys.argv[1:])" "${@:2}"
}
for seconds in 2 8 32; do # until the command has begun before it, however slow the machine is
    status=0
    # shellcheck disable=SC2016 # for the inner shell
    as_caller "signal.alarm($seconds)" "$ENGINE_TOOL" run -- sh -c 'echo $$ >"$0" && exec sleep 60' "$LAB_DIR/alarmed" ||
        status=$?
    [ "$status" -eq 142 ] || fail "with an alarm set, the status is $status instead of 142"
    [ ! -s "$LAB_DIR/alarmed" ] || break
done
[ -s "$LAB_DIR/alarmed" ] || fail "the alarm came before the command had begun"
# The status would be that as well where the alarm had ended the tool, and the command went on.
[ ! -d "/proc/$(cat "$LAB_DIR/alarmed")" ] || fail "the alarm was the tool's, and not the command's"
said=$(as_caller 'signal.signal(signal.SIGCHLD, signal.SIG_IGN)' "$ENGINE_TOOL" run -- grep SigIgn /proc/self/status) ||
    fail "SIGCHLD ignored: status $?: $said"
[ $((0x${said##*[[:space:]]} >> 16 & 1)) -eq 1 ] || fail "the command does not ignore SIGCHLD any more: $said"
say "ok: an alarm, and SIGCHLD ignored"
# What fails behind the command is said, and the status is the command's. A directory on which something is mounted cannot
# be removed; the identity of a control group is the number of its directory's inode.
# shellcheck disable=SC2016 # for the inner shell
in_the_way='path=$(sed -n "s/^0:://p" /proc/self/cgroup)
pins=/sys/fs/bpf/multihome/$(stat -c %i "$0$path")
mount --bind "$pins" "$pins" && exit 7'
status=0
said=$(unshare --mount "$ENGINE_TOOL" run -- sh -c "$in_the_way" "$(engine_tree)" 2>&1) || status=$?
"$ENGINE_TOOL" detach -q --cgroup /none || true
[[ $status -eq 7 && $said == *"cannot remove "*"the kernel engine is left, and 'multihomectl detach "* ]] ||
    fail "where the pins cannot be removed, the status is $status: $said"
say "ok: the pins cannot be removed"
said=$("$launcher" --engine kernel printf '%s|' '[]' '{}' -- --ports '' 'a b')
[ "$said" = '[]|{}|--|--ports||a b|' ] || fail "the arguments arrive as $said"
said=$("$launcher" --dry-run --engine kernel true)
[[ $said == *"engine    kernel"*"group     /"* ]] || fail "--dry-run says: $said"
# shellcheck disable=SC2016 # for the inner shell
said=$("$launcher" --engine kernel sh -c 'sleep 600 >/dev/null 2>&1 & echo $! >"$0"' "$LAB_DIR/left" 2>&1 >/dev/null)
kill "$(cat "$LAB_DIR/left")"
[[ $said == *"go on running"* ]] || fail "it does not say that processes are left: $said"
group=${said##*--cgroup }
group=${group%%\'*}
for ((tries = 0; tries < 200; tries++)); do
    attached | grep -F "$group " >/dev/null || break
    "$ENGINE_TOOL" detach -q --cgroup "/none" || true
    sleep 0.05
done
[ "$tries" -lt 200 ] || fail "what had to wait for the last process is still there: $group"
say "ok: the last process of a command"

# Processes of several namespaces share the tree, and each knows the numbers of its own alone.
elsewhere=(unshare --pid --fork --mount-proc --kill-child)
in_group_elsewhere() { exec sh -c 'echo 0 >&9; exec 9>&-; exec "$@"' sh "${elsewhere[@]}" "$@"; } # in a subshell
# shellcheck disable=SC2016 # for the inner shell
in_group_elsewhere "$ENGINE_TOOL" run -- sh -c 'echo here >"$0" && exec sleep 60' "$LAB_DIR/first" 2>"$LAB_DIR/first.log" &
first=$!
for ((tries = 0; tries < 200; tries++)); do
    [ ! -s "$LAB_DIR/first" ] || break
    sleep 0.05
done
[ -s "$LAB_DIR/first" ] || fail "the first of two does not start: $(cat "$LAB_DIR/first.log")"
status=0
said=$(in_group_elsewhere "$ENGINE_TOOL" run -- sh -c 'exit 7' 2>&1) || status=$?
[ "$status" -eq 7 ] || fail "beside one of the same number, in another namespace, the status is $status: $said"
kill -KILL "$first"
wait "$first" 2>/dev/null || true
expect_swept "two of the same number"

# What has just been made, and has no process yet, is not taken for one that was left: neither before it is locked, when it
# is made once more, nor after that.
if command -v strace >/dev/null; then
    for call in mkdir,mkdirat flock; do
        rm -f "$LAB_DIR/stopped.calls"
        (
            echo 0 >&9
            exec 9>&-
            exec strace -qq -o "$LAB_DIR/stopped.calls" -e "trace=$call" -e "inject=$call:signal=STOP:when=1" \
                "$ENGINE_TOOL" run -- sh -c 'exit 7'
        ) >"$LAB_DIR/stopped.log" 2>&1 &
        tracer=$!
        for ((tries = 0; tries < 200; tries++)); do
            ! grep -q 'stopped by SIGSTOP' "$LAB_DIR/stopped.calls" 2>/dev/null || break
            sleep 0.05
        done
        [ "$tries" -lt 200 ] || fail "it does not stop at $call: $(cat "$LAB_DIR/stopped.log")"
        "${elsewhere[@]}" "$ENGINE_TOOL" detach -q --cgroup /none 2>/dev/null || true
        kill -CONT "$(tr -d ' ' <"/proc/$tracer/task/$tracer/children")"
        status=0
        wait "$tracer" || status=$?
        [ "$status" -eq 7 ] || fail "a sweep after its $call: the status is $status: $(cat "$LAB_DIR/stopped.log")"
        expect_gone "a sweep after $call"
    done
else
    say "SKIP: a sweep while a control group is made: strace is not installed"
fi
