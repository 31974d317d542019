# SPDX-License-Identifier: MIT
# What the launcher's tests share. ctest sets LAUNCHER_SOURCE (the repository), LAUNCHER_LIBRARY, LAUNCHER_TOOL
# (multihomectl) and LAUNCHER_PROBES (a directory of the programs made from probe.c).
# shellcheck shell=sh disable=SC2034 # what is set here is used where this is sourced
set -u
: "${LAUNCHER_SOURCE:?run this by ctest}" "${LAUNCHER_LIBRARY:?}" "${LAUNCHER_TOOL:?}" "${LAUNCHER_PROBES:?}"
# Whatever the caller has set, also for the build or for a test script: the launcher warns of names that it does not know.
# shellcheck disable=SC2046 # names have no blanks
unset LD_PRELOAD $(awk 'BEGIN { for (name in ENVIRON) if (name ~ /^MULTIHOME_[A-Za-z0-9_]*$/) print name }')

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
# Some tests go on as another user, who could not read the build tree under somebody's home directory.
chmod 755 "$scratch"
mkdir -p "$scratch/tree/scripts" "$scratch/tree/build"
cp "$LAUNCHER_SOURCE/scripts/multihome" "$scratch/tree/scripts/"
cp "$LAUNCHER_LIBRARY" "$scratch/tree/build/libmultihome.so"
cp "$LAUNCHER_TOOL" "$scratch/tree/build/multihomectl"
cp "$LAUNCHER_PROBES"/probe* "$scratch/"
chmod -R a+rX "$scratch"
launcher=$scratch/tree/scripts/multihome
tool=$scratch/tree/build/multihomectl
library=$scratch/tree/build/libmultihome.so
probe=$scratch/probe
failures=0
checks=0

skip() {
    [ "$failures" -eq 0 ] || finish # what has failed already must not be hidden
    echo "SKIP: $*"
    exit 77
}

# wait_for COMMAND...: until it succeeds. False if it never does.
wait_for() {
    for _ in $(seq 300); do
        "$@" && return
        sleep 0.2
    done
    return 1
}

complain() {
    failures=$((failures + 1))
    printf 'FAIL: %s\n' "$*"
}

# expect STATUS PATTERN COMMAND...: runs it; its status has to be STATUS, and a line of its stdout or stderr has to
# match the grep pattern, unless that is empty. The output stays in $scratch/output.
expect() {
    wanted_status=$1
    wanted_pattern=$2
    shift 2
    checks=$((checks + 1))
    "$@" >"$scratch/output" 2>&1 </dev/null
    got_status=$?
    if [ "$got_status" -ne "$wanted_status" ]; then
        complain "status $got_status instead of $wanted_status: $*"
        sed 's/^/    /' "$scratch/output"
    elif [ -n "$wanted_pattern" ] && ! grep -q -e "$wanted_pattern" "$scratch/output"; then
        complain "no line like '$wanted_pattern': $*"
        sed 's/^/    /' "$scratch/output"
    fi
}

# expect_line LINE: the output of the last expect has exactly this line.
expect_line() {
    checks=$((checks + 1))
    grep -qxF -e "$1" "$scratch/output" && return
    complain "the output lacks the line: $1"
    sed 's/^/    /' "$scratch/output"
}

# refuse STATUS PATTERN COMMAND...: like expect, and nothing may have been started: the command's last words have to
# be `touch "$mark"`, or a program that prints what the probe prints.
mark=$scratch/started
refuse() {
    rm -f "$mark"
    expect "$@"
    [ ! -e "$mark" ] || complain "the command was started: $*"
    ! grep -q '^preloaded=' "$scratch/output" || complain "the program was started: $*"
}

finish() {
    if [ "$failures" -ne 0 ]; then
        echo "$failures of $checks checks failed"
        exit 1
    fi
    echo "$checks checks passed"
    exit 0
}
