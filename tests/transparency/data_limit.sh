#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program that starts under a limit on its data (RLIMIT_DATA) also starts with the shim, if the limit leaves it as
# much more as the shim's own data takes.
#
#   data_limit.sh PROGRAM
set -u

library=${MULTIHOME_LIBRARY:?the shim to test}
program=${1:?a program that does nothing}
# The table of clients is not in there: where there is no memory for it, the program goes on without.
most=262144

# starts LIMIT [NAME=VALUE]: what cannot be preloaded, the loader only warns of.
starts() {
    said=$(prlimit --data="$1" -- env ${2:+"$2"} "$program" 2>&1) && [ "${said#*cannot be preloaded}" = "$said" ]
}

limit=0
until starts "$limit" 2>/dev/null; do # the shell says how it ended
    limit=$((limit + 8192))
    [ "$limit" -lt 16777216 ] || {
        echo "SKIP: $program does not start under any such limit"
        exit 77
    }
done
starts "$((limit + most))" LD_PRELOAD="$library" || {
    echo "FAILED: starts with $limit bytes of data, and with the shim not with $((limit + most))"
    exit 1
}
