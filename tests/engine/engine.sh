# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2119,SC2120 # for the tests; engine_attach takes options from some of them
#
# What the engine's tests share. Sourced after tests/lab/lab.sh. ENGINE_TOOL is multihomectl, ENGINE_PROGRAMS the directory
# of the programs made from programs/.
#
#   engine_start                 a control group of this test's own; skips where the kernel or the machine forbids BPF
#   in_group FUNCTION...         runs a function of the lab's with what it starts in that control group
#   engine_attach, engine_detach the engine for that control group
#   program NAME                 the path of a program, or skips the test
#   expect_verdict PORT VERDICT  what doctor says of a server

: "${ENGINE_TOOL:?run this by ctest}"
ENGINE_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ENGINE_GROUP=
ENGINE_PROGRAMS=${ENGINE_PROGRAMS:-}
ENGINE_V4=(192.0.2.2 192.0.2.3 198.51.100.2)
ENGINE_V6=(2001:db8:1::2 2001:db8:1::3 2001:db8:2::2)

# A process's number says who it is in its own namespace of processes alone, and several may share the tree.
ENGINE_PREFIX=mhengine-$(stat -L -c %i /proc/self/ns/pid)-

# What a killed test left: its control group, and what is attached to it.
engine_sweep() {
    local directory owner
    for directory in "$1/$ENGINE_PREFIX"*; do
        owner=${directory##*/"$ENGINE_PREFIX"}
        if [ -d "$directory" ] && [ ! -d "/proc/${owner%%-*}" ]; then engine_remove "$directory"; fi
    done
}

# But for those of other namespaces, which are all shown as 0: our own process group, to kill.
engine_processes() { find "$1" -name cgroup.procs -exec cat {} + | grep -vx 0; } # GROUP

engine_remove() { # GROUP
    local tries
    find "$1" -type d -exec "$ENGINE_TOOL" detach -q --cgroup {} \; >/dev/null 2>&1 || true
    for ((tries = 0; tries < 60; tries++)); do
        find "$1" -depth -type d -exec rmdir -- {} + 2>/dev/null && return
        [ -d "$1" ] || return 0
        [ "$tries" -ne 20 ] || engine_processes "$1" | xargs -r kill -KILL 2>/dev/null || true
        sleep 0.05
    done
}

engine_end() {
    local status=$?
    set +e # what fails here must not keep lab_end from its work
    trap '' HUP INT TERM
    local pid
    while read -r pid; do
        kill -TERM "$pid" 2>/dev/null || true
    done < <(engine_processes "$ENGINE_GROUP")
    engine_remove "$ENGINE_GROUP"
    (exit "$status")
    lab_end
}

engine_tree() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

engine_start() {
    local tree said why
    [ "$(id -u)" -eq 0 ] || skip "the engine needs root"
    tree=$(engine_tree)
    [ -n "$tree" ] || skip "no control groups of version 2 are mounted"
    engine_sweep "$tree"
    ENGINE_GROUP=$tree/$ENGINE_PREFIX$$-$RANDOM
    mkdir "$ENGINE_GROUP" 2>/dev/null || skip "no control group can be made in $tree"
    trap engine_end EXIT
    # `ip netns exec` hides the tree, so who joins has to bring the open file along.
    exec 9>"$ENGINE_GROUP/cgroup.procs"
    if ! said=$("$ENGINE_TOOL" attach --cgroup "$ENGINE_GROUP" 2>&1); then
        case $said in
        *'built without'* | *'cannot be mounted'*) skip "$said" ;;
        esac
        # The tool says that this kernel does not take its programs, also where it is the programs that are wrong.
        why=$("$LAB_PYTHON" "$ENGINE_HERE/takes_programs.py" "$ENGINE_GROUP" 2>&1) || skip "$said ($why)"
        fail "$said"
    fi
    engine_detach
}

engine_attach() { "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP" "$@" || fail "cannot attach"; }
engine_detach() { "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP" || fail "cannot detach"; }

in_group() {
    # shellcheck disable=SC2034,SC2016 # for lab.sh; for the inner shell
    local LAB_ENTER=(sh -c 'echo 0 >&9; exec 9>&-; exec "$@"' sh)
    "$@"
}

program() { # NAME
    [ -x "$ENGINE_PROGRAMS/$1" ] || skip "$1 was not built: its compiler is not installed"
    printf '%s\n' "$ENGINE_PROGRAMS/$1"
}

# What is attached anywhere. The tool ends with 1 where a control group is gone, which may be another test's.
attached() { "$ENGINE_TOOL" list "$@" || [ $? -eq 1 ]; }

counter() { # NAME: of the engine that is attached to this test's control group
    attached -j | "$LAB_PYTHON" -c '
import json, sys
for one in json.load(sys.stdin)["attached"]:
    if one["control_group"].endswith(sys.argv[1]):
        print(one["counters"][sys.argv[2]])' "${ENGINE_GROUP##*/}" "$1"
}

expect_verdict() { # PORT VERDICT [WHERE...]
    local said
    # `ip netns exec` would hide the tree of control groups.
    said=$({ "${@:3}" nsenter "--net=/run/netns/$LAB_SERVER" "$ENGINE_TOOL" doctor -j || true; } | "$LAB_PYTHON" -c '
import json, sys
for server in json.load(sys.stdin)["namespaces"][0]["servers"]:
    if server["port"] == int(sys.argv[1]):
        print(server["verdict"])' "$1")
    [ "$said" = "$2" ] || fail "doctor${3+, ${*:3}}: port $1 is $said, should be $2"
    say "ok: doctor${3+, ${*:3}}: port $1 is $said"
}
