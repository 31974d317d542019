#!/bin/bash
# SPDX-License-Identifier: MIT
# What the kernel engine costs beside the same server without it: ratios.sh [TURNS]. Two hosts in network namespaces, made
# for it; all subjects take turns, each turn with a fresh process, beside the bare one of the same turn. Processor time of a
# request and its answer, both ends in one thread (tests/engine/programs/round_trips.c), so it is all the kernel's work and
# a few system calls. Needs root, a build with its tests, and for some rows clang, bpftool, nft and conntrack.
#
#   bare       without the engine            native    a server that uses IP_PKTINFO itself
#   hooks      empty programs in the three hooks that a request meets: what the kernel takes for calling any at all
#   two-hooks  the same, without the hook that sees what a program takes (recvmsg4)
#   engine     the engine at the server's control group
#   elsewhere  the engine at another control group of this host
#   redirect   connection tracking and nftables: multihomectl recipe one-interface
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${MULTIHOME_BUILD:-$here/../../build}
turns=${1:-15}
ENGINE_TOOL=$build/multihomectl MULTIHOMECTL=$build/multihomectl ENGINE_PROGRAMS=$build/tests/engine/programs
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lab.sh
. "$here/../../tests/lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/recipes.sh
. "$here/../../tests/lab/recipes.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/engine/engine.sh
. "$here/../../tests/engine/engine.sh"
tool=$(program round_trips) || { say "$tool" && exit 77; }
lab_topology_a
engine_start
primary=192.0.2.2 second=192.0.2.3
serving=$ENGINE_GROUP/serving other=$ENGINE_GROUP/other
mkdir "$serving" "$other"
clients=$(engine_tree)$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs
empty=/sys/fs/bpf/mhempty-$$
trap 'rm -rf "$empty"; engine_end' EXIT

subjects=(bare native engine bound-bare bound-engine bound-elsewhere)
if command -v clang >/dev/null && command -v bpftool >/dev/null; then
    for hook in ingress:cgroup_skb/ingress sendmsg4:cgroup/sendmsg4 recvmsg4:cgroup/recvmsg4; do
        printf '__attribute__((section("%s"), used)) int %s(void* context) { return 1; }\n' "${hook#*:}" "${hook%:*}"
    done >"$LAB_DIR/empty.c"
    clang -target bpf -O2 -c "$LAB_DIR/empty.c" -o "$LAB_DIR/empty.o"
    bpftool prog loadall "$LAB_DIR/empty.o" "$empty" 2>/dev/null
    subjects+=(hooks bound-hooks bound-two-hooks)
fi
if command -v nft >/dev/null && command -v conntrack >/dev/null; then subjects+=(redirect bound-redirect); fi

hooks() { # attach|detach HOOK...
    local hook
    for hook in "${@:2}"; do bpftool cgroup "$1" "$serving" "$hook" pinned "$empty/$hook"; done
}
subject_on() { # SUBJECT
    case $1 in
    *engine) "$ENGINE_TOOL" attach -q --cgroup "$serving" ;;
    *elsewhere) "$ENGINE_TOOL" attach -q --cgroup "$other" ;;
    *two-hooks) hooks attach ingress sendmsg4 ;;
    *hooks) hooks attach ingress sendmsg4 recvmsg4 ;;
    *redirect) apply_recipe one-interface --interface eth0 --quiet ;;
    esac
}
subject_off() { # SUBJECT
    case $1 in
    *engine) "$ENGINE_TOOL" detach -q --cgroup "$serving" ;;
    *elsewhere) "$ENGINE_TOOL" detach -q --cgroup "$other" ;;
    *two-hooks) hooks detach ingress sendmsg4 ;;
    *hooks) hooks detach ingress sendmsg4 recvmsg4 ;;
    *redirect)
        on_server conntrack -F >/dev/null 2>&1
        recipe one-interface --undo --quiet
        ;;
    esac
}
turn() { # SUBJECT
    local asked=$primary how=wildcard rest=0 found
    case $1 in
    native | engine | *redirect) asked=$second ;;
    esac
    case $1 in
    bound-*) how=bound ;;
    native) how=native ;;
    engine) rest=3500 ;; # as long as the engine counts what a new client sends
    esac
    subject_on "$1"
    # shellcheck disable=SC2016 # for the inner shell
    if found=$(sh -c 'echo 0 >"$0" && exec "$@"' "$serving/cgroup.procs" "$tool" "$LAB_SERVER" "$LAB_CLIENT" "$clients" \
        "$primary" "$asked" "$how" 300 "$rest"); then
        printf '%s %s\n' "$1" "$found" >>"$LAB_DIR/found"
    fi
    subject_off "$1"
}

order=("${subjects[@]}")
for ((count = 0; count < turns; count++)); do
    for subject in "${order[@]}"; do turn "$subject"; done
    order=("${order[@]:1}" "${order[0]}") # who comes first takes turns as well
done
"$LAB_PYTHON" - "$LAB_DIR/found" <<'PYTHON'
import statistics, sys
found = {}
for line in open(sys.argv[1]):
    subject, nanoseconds, asked, answered = line.split()
    if asked != answered:
        sys.exit(f"{subject}: of {asked} requests {answered} were answered")
    found.setdefault(subject, []).append(float(nanoseconds))
for title, prefix in (("one socket on the wildcard address", ""), ("1,000 sockets that are bound to one address", "bound-")):
    print(f"\n{title}\n{'':12}{'TURNS':>6}{'NANOSECONDS':>13}{'TO BARE':>9}   HALF OF THE TURNS")
    bare = found[prefix + "bare"]
    for name in ("bare", "native", "two-hooks", "hooks", "engine", "elsewhere", "redirect"):
        values = found.get(prefix + name)
        if not values:
            continue
        ratios = [value / beside for value, beside in zip(values, bare)]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios
        print(f"{name:12}{len(values):6}{statistics.median(values):13.0f}{statistics.median(ratios):9.3f}   {low:.3f} to {high:.3f}")
PYTHON
