# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What lab.sh compares. To be sourced after tests/lab/recipes.sh. Only what a subject needs is there while it has its turn:
# rules and routing policies that are there cost every packet something.
#
#   a-bare a-native a-shim  two addresses on one interface
#   a-recipe                the same, redirected to the primary one
#   a-engine                the same, answered with the kernel engine's help, where this machine can have it
#   b-native b-shim         two interfaces, and a routing policy by source address
#   b-recipe                the same, translated; marks saved to the connection choose the interface

BENCH=${MULTIHOME_BENCH:?}
PEERS=1000
# shellcheck disable=SC2034 # these three for lab.sh
{
    SUBJECTS=(a-bare a-native a-shim a-engine a-recipe b-native b-shim b-recipe)
    PROCESSORS=$(nproc --all)
    TICKS=$(getconf CLK_TCK)
}
declare -A LAB_PORTS=([bare]=5300 [native]=5301 [shim]=5302 [engine]=5303)

figure() { # GROUP SUBJECT UNIT NOTE VALUE...
    local IFS=$'\t'
    printf 'figure\t%s\n' "$*"
}

server_of() { # SUBJECT
    case $1 in
    *-native) echo native ;;
    *-shim) echo shim ;;
    *-engine) echo engine ;;
    *) echo bare ;;
    esac
}

title_of() { # SUBJECT
    case $1 in
    a-recipe) echo redirect ;;
    b-recipe) echo "DNAT and marks" ;;
    *-engine) echo "kernel engine" ;;
    *) echo "${1#*-}" ;;
    esac
}

# Not the address that the routing table prefers.
asked_by() { # SUBJECT
    case $1 in
    a-*) echo 192.0.2.3 ;;
    b-*) echo 198.51.100.2 ;;
    esac
}

prepare_subjects() {
    [ -x "$BENCH" ] || fail "no $BENCH"
    # The client is as many peers as there are addresses in 10.0.0.0/8.
    ip -n "$LAB_CLIENT" route add local 10.0.0.0/8 dev lo
    ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 table 42
}

# In a process of its own: where a program's memory happens to lie makes a difference of some percent.
start_fresh() { # bare|native|shim|engine
    local command=("$BENCH" server --port "${LAB_PORTS[$1]}") starting=(start_server -p "${LAB_PORTS[$1]}" "$1")
    [ -z "${LAB_PIDS[$1]:-}" ] || stop_server "$1"
    case $1 in
    native) "${starting[@]}" "${command[@]}" --native ;;
    shim) with_shim "${starting[@]}" "${command[@]}" ;;
    engine) in_group "${starting[@]}" "${command[@]}" ;;
    *) "${starting[@]}" "${command[@]}" ;;
    esac
}

forget_flows() { on_server conntrack -F >/dev/null 2>&1; }

subject_on() { # SUBJECT
    case $1 in
    a-recipe) apply_recipe one-interface --interface eth0 --quiet ;;
    a-engine) engine_attach ;;
    b-native | b-shim) ip -n "$LAB_SERVER" rule add from 198.51.100.2 pref 42 lookup 42 ;;
    b-recipe) apply_recipe two-interfaces --interface eth1 --quiet ;; # the gateway is in table 42
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
}

# As `multihome-bench ask` prints it: "ASKED ANSWERS RIGHT SECONDS PROCESSOR-SECONDS".
ask_many() { # SUBJECT OPTION...
    local server
    server=$(server_of "$1")
    on_client "$BENCH" ask --address "$(asked_by "$1")" --port "${LAB_PORTS[$server]}" --first 10.0.0.0 \
        --count "$PEERS" "${@:2}"
}
