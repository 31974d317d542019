#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The shim between two hosts, against the kernel engine, and against what an administrator would do in the kernel: each
# datagram translated to the primary address, and connection tracking to put the original one back on the answer. For
# addresses on one interface and on two, both by `multihomectl recipe`. Started by multihome-bench, which names itself
# in MULTIHOME_BENCH and the library, which has multihomectl beside it, in MULTIHOME_LIBRARY.
set -euo pipefail
MULTIHOMECTL=${MULTIHOMECTL:-${MULTIHOME_LIBRARY%/*}/multihomectl}
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/recipes.sh"
ENGINE_TOOL=$MULTIHOMECTL
# shellcheck source-path=SCRIPTDIR source=../../tests/engine/engine.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/engine/engine.sh"
# shellcheck source-path=SCRIPTDIR source=lab_subjects.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab_subjects.sh"
# shellcheck source-path=SCRIPTDIR source=lab_full.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab_full.sh"

TURNS=${MULTIHOME_BENCH_TURNS:-3}
RATE=40000 # requests a second, which every subject can serve
declare -A RATES=() TIMES=() ENDS=() RIGHT=()

# Milliseconds in which a processor of this machine had something to do. By what it has not been idle: the kernel
# accounts that exactly, and the rest by samples.
busy() {
    local -a fields
    local now
    read -ra fields </proc/stat
    now=${EPOCHREALTIME/[.,]/}
    printf '%s\n' $((PROCESSORS * now / 1000 - (fields[4] + fields[5]) * 1000 / TICKS))
}

# Nanoseconds that a server has run. It has one thread.
run_time() { # NAME
    local -a fields
    read -ra fields <"/proc/$(server_pid "$1")/schedstat"
    printf '%s\n' "${fields[0]}"
}

# One turn of a subject; adds to RATES, TIMES, ENDS and RIGHT.
turn() { # SUBJECT
    local subject=$1 server before used asked answers right seconds client idle ran
    server=$(server_of "$subject")
    start_fresh "$server"
    subject_on "$subject"
    read -r asked answers right seconds client < <(ask_many "$subject" --milliseconds 300)
    [ "$answers" -gt 0 ] || fail "$subject: no answers"
    RATES[$subject]+=" $(awk "BEGIN { print $answers / $seconds }")"
    RIGHT[$subject]=$(awk "BEGIN { printf \"%.4g %% right\", 100 * $right / $answers }")
    before=$(busy) ran=$(run_time "$server")
    # shellcheck disable=SC2034 # asked
    read -r asked answers right seconds client < <(ask_many "$subject" --rate "$RATE" --milliseconds 800)
    used=$(($(busy) - before)) ran=$(($(run_time "$server") - ran))
    subject_off "$subject"
    # What this machine does anyway, for as long as that took.
    before=$(busy)
    sleep "$seconds"
    idle=$(($(busy) - before))
    TIMES[$subject]+=" $(awk "BEGIN { print ($used - $idle) * 1e6 / $answers }")"
    ENDS[$subject]+=" $(awk "BEGIN { print ($ran + $client * 1e9) / $answers }")"
}

measure() { # TITLE SUBJECT...
    local title=$1 subject count
    shift
    RATES=() TIMES=() ENDS=() RIGHT=()
    for ((count = 0; count < TURNS; count++)); do
        for subject in "$@"; do turn "$subject"; done
        set -- "${@:2}" "$1" # who comes first takes turns as well
    done
    for subject in "${SUBJECTS[@]}"; do
        [ -n "${RATES[$subject]:-}" ] || continue
        # shellcheck disable=SC2086 # a list of numbers
        figure "$title, saturated" "$(title_of "$subject")" answers/s "${RIGHT[$subject]}" ${RATES[$subject]}
    done
    for subject in "${SUBJECTS[@]}"; do
        [ -n "${ENDS[$subject]:-}" ] || continue
        # shellcheck disable=SC2086
        figure "$title, the processor time of both ends at $RATE requests a second" "$(title_of "$subject")" \
            ns/answer "" ${ENDS[$subject]}
    done
    for subject in "${SUBJECTS[@]}"; do
        [ -n "${TIMES[$subject]:-}" ] || continue
        # shellcheck disable=SC2086
        figure "$title, the whole machine's at $RATE requests a second" "$(title_of "$subject")" \
            ns/answer "without what it does when nobody asks" ${TIMES[$subject]}
    done
}

need nft conntrack
need_shim
lab_topology_b
prepare_subjects
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
measure "addresses on one interface" a-bare a-native a-shim "${engine[@]}" a-recipe
measure "addresses on two interfaces" b-native b-shim b-recipe
memory
full_table
