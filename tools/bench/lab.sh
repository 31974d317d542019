#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The shim between two hosts, against the kernel engine, and against what an administrator would do in the kernel: each
# datagram translated to the primary address, and connection tracking to put the original one back on the answer, both
# by `multihomectl recipe`. Started by lab.py, which names the programs of the bench in MULTIHOME_BENCH_PROGRAMS and the
# library, which has multihomectl beside it, in MULTIHOME_LIBRARY, and makes figures of what this prints, with tabs
# between:
#
#   turn GROUP SUBJECT CLIENT CLIENT BUSY   a turn: what a client printed that asked as much as it could, what one did
#                                           at a rate, and how many milliseconds processors were busy meanwhile
#   served GROUP SUBJECT CLIENT NOTE        what a client printed
#   bytes GROUP SUBJECT VALUE NOTE
set -euo pipefail
MULTIHOMECTL=${MULTIHOMECTL:-${MULTIHOME_LIBRARY%/*}/multihomectl}
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/recipes.sh"
ENGINE_TOOL=$MULTIHOMECTL
# shellcheck source-path=SCRIPTDIR source=../../tests/engine/engine.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/engine/engine.sh"
# shellcheck source-path=SCRIPTDIR source=lab_full.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab_full.sh"

PROGRAMS=${MULTIHOME_BENCH_PROGRAMS:?}
PROCESSORS=$(nproc --all)
TICKS=$(getconf CLK_TCK)

# A line for lab.py.
report() { # WORD...
    local IFS=$'\t'
    printf '%s\n' "$*"
}

# Starts a subject, and names it in TITLE and the address that it is asked at in ASKED: not the one that the routing table
# prefers. Only what it needs is there while it has its turn: rules and routing policies cost every packet something. Its
# server is a process of its own: where a program's memory happens to lie makes a difference of some percent.
#
#   a-bare a-native a-shim  two addresses on one interface
#   a-recipe                the same, redirected to the primary one
#   a-engine                the same, answered with the kernel engine's help, where this machine can have it
#   b-native b-shim         two interfaces, and a routing policy by source address
#   b-recipe                the same, translated; marks saved to the connection choose the interface
subject_on() { # SUBJECT
    local serve=(start_server server "$PROGRAMS" server port="$LAB_PORT")
    TITLE=${1#*-} ASKED=192.0.2.3
    [[ $1 == a-* ]] || ASKED=198.51.100.2
    case $1 in
    *-native) "${serve[@]}" native=true ;;
    *-shim) with_shim "${serve[@]}" ;;
    *-engine) in_group "${serve[@]}" ;;
    *) "${serve[@]}" ;;
    esac
    case $1 in
    a-recipe)
        TITLE=redirect
        apply_recipe one-interface --interface eth0 --quiet
        ;;
    a-engine)
        TITLE="kernel engine"
        engine_attach
        ;;
    b-recipe) # the gateway is in table 42
        TITLE="DNAT and marks"
        apply_recipe two-interfaces --interface eth1 --quiet
        ;;
    b-*) ip -n "$LAB_SERVER" rule add from 198.51.100.2 pref 42 lookup 42 ;;
    esac
}

subject_off() { # SUBJECT
    case $1 in
    *-recipe)
        forget_flows
        recipe one-interface --undo --quiet
        ;;
    *-engine) engine_detach ;;
    b-*) ip -n "$LAB_SERVER" rule delete pref 42 ;;
    esac
    stop_server server
}

# The client is as many peers as there are addresses in 10.0.0.0/8.
ask_many() { # NAME=VALUE...
    on_client "$PROGRAMS" client address="$ASKED" port="$LAB_PORT" first=10.0.0.0 count=1000 size=512 "$@"
}

# Milliseconds in which a processor of this machine had something to do. By what it has not been idle: the kernel
# accounts that exactly, and the rest by samples.
busy() {
    local -a fields
    local now
    read -ra fields </proc/stat
    now=${EPOCHREALTIME/[.,]/}
    printf '%s\n' $((PROCESSORS * now / 1000 - (fields[4] + fields[5]) * 1000 / TICKS))
}

turn() { # GROUP SUBJECT
    local much steady before used
    subject_on "$2"
    much=$(ask_many window=32 milliseconds=300)
    before=$(busy)
    steady=$(ask_many rate="$MULTIHOME_BENCH_RATE" milliseconds=800 watch="[$(server_pid server)]")
    used=$(($(busy) - before))
    subject_off "$2"
    # What this machine does anyway, for as long as that took.
    before=$(busy)
    sleep "$(cut -d' ' -f4 <<<"$steady")"
    report turn "$1" "$TITLE" "$much" "$steady" $((used - $(busy) + before))
}

turns() { # GROUP SUBJECT...
    local group=$1 subject count
    shift
    for ((count = 0; count < MULTIHOME_BENCH_TURNS; count++)); do
        for subject in "$@"; do turn "$group" "$subject"; done
        set -- "${@:2}" "$1" # who comes first takes turns as well
    done
}

need nft conntrack
need_shim
lab_topology_b
ip -n "$LAB_CLIENT" route add local 10.0.0.0/8 dev lo
ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 table 42
# Whether the engine can be had shows only when it is tried, which would end this script where it cannot.
engine=()
if said=$(
    # shellcheck disable=SC2317 # engine_end calls it
    lab_end() { :; }
    engine_start 2>&1
); then
    engine_start
    engine=(a-engine)
else
    say "not measured: the kernel engine ($said)"
fi
turns "addresses on one interface" a-bare a-native a-shim "${engine[@]}" a-recipe
turns "addresses on two interfaces" b-native b-shim b-recipe
memory
full_table
