#!/bin/bash
# SPDX-License-Identifier: MIT
# Two calls at once where no bpf file system is mounted yet: one of them mounts it, and neither hides what the other has
# attached.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
need strace unshare
# In a namespace of processes of its own: else the tool finds the host's bpf file system by who has called it.
if [ -z "${ENGINE_AT_ONCE_INSIDE:-}" ]; then
    ENGINE_AT_ONCE_INSIDE=1 exec unshare --mount --pid --fork --mount-proc --kill-child bash "$0"
fi
# The pins are those of this mount, and go with it.
if mountpoint -q /sys/fs/bpf; then umount -l /sys/fs/bpf || skip "the bpf file system cannot be left"; fi
lab_start
engine_start
umount /sys/fs/bpf
mkdir "$ENGINE_GROUP/first" "$ENGINE_GROUP/second"

# The first one is held up as it is about to mount.
strace -o "$LAB_DIR/calls" -e trace=mount -e inject=mount:delay_enter=1s "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP/first" &
first=$!
for ((tries = 0; tries < 400; tries++)); do
    [ ! -s "$LAB_DIR/calls" ] || break
    sleep 0.05
done
[ -s "$LAB_DIR/calls" ] || fail "the first call mounts nothing"
"$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP/second" || fail "the second call"
wait "$first" || fail "the first call: $(cat "$LAB_DIR/calls")"
[ "$(grep -c ' /sys/fs/bpf bpf ' /proc/self/mounts)" -eq 1 ] || fail "mounted more than once: $(grep /sys/fs/bpf /proc/self/mounts)"
for one in first second; do
    "$ENGINE_TOOL" list | grep "/$one *attached" >/dev/null || fail "list does not show the $one"
    "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP/$one"
done

# The last detach takes the directory away which this one has made, and has not opened yet. Once more, and later, where the
# machine was too busy to do it in time.
for delay in 1s 4s 16s; do
    strace -o "$LAB_DIR/calls" -e trace='?mkdir,mkdirat' -e inject="?mkdir,mkdirat:delay_exit=$delay:when=1" \
        "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP/first" &
    first=$!
    taken=''
    until [ -n "$taken" ] || ! kill -0 "$first" 2>/dev/null; do
        if rmdir /sys/fs/bpf/multihome 2>/dev/null; then taken=yes; else sleep 0.05; fi
    done
    wait "$first" || fail "attach without the directory that it has made: $(cat "$LAB_DIR/calls")"
    "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP/first"
    [ -z "$taken" ] || break
done
[ -n "$taken" ] || fail "the directory could not be taken away meanwhile"
say "ok: both are attached"
