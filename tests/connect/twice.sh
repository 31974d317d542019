#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a test program bare, where it requires the wrong behaviour, and then under the shim. What can be tested bare and not
# with the shim has failed.
#
#   twice.sh [-n] PROGRAM TOPIC...
#
#   -n  in a network namespace of its own, which the kernel removes with the last process in it
set -u

library=${MULTIHOME_LIBRARY:?the shim to test}
[ -r "$library" ] || {
    echo "FAIL: no $library"
    exit 1
}
namespace=
if [ "${1:-}" = -n ]; then
    shift
    namespace="unshare -n"
    [ "$(id -u)" -eq 0 ] || {
        echo "SKIP: making a network namespace needs root"
        exit 77
    }
    for command in unshare ip; do
        command -v "$command" >/dev/null || {
            echo "SKIP: $command is not installed"
            exit 77
        }
    done
    unshare -n true 2>/dev/null || {
        echo "SKIP: cannot make a network namespace"
        exit 77
    }
fi
program=$1
shift
unset LD_PRELOAD MULTIHOME_LOG MULTIHOME_LOG_FILE MULTIHOME_PORTS MULTIHOME_PEERS MULTIHOME_SAME_INTERFACE
unset MULTIHOME_DISABLE

for run in bare shim; do
    echo "--- $run"
    preload=
    [ "$run" = bare ] || preload="LD_PRELOAD=$library"
    # A system-call filter or a vfork gone wrong may leave children behind: timeout ends the group.
    # shellcheck disable=SC2086 # words
    timeout -k 5 40 $namespace env $preload PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 "$program" "$run" "$@" </dev/null
    status=$?
    if [ "$run $status" = 'shim 77' ]; then
        echo "FAIL: bare it is not skipped"
        exit 1
    fi
    [ "$status" -eq 0 ] || exit "$status"
done
