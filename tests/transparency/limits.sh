#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program that does its work under a limit on its data (RLIMIT_DATA) or its addresses (RLIMIT_AS) also does it with the
# shim, if the limit leaves it as much more as multihome(7) says.
#
#   limits.sh data|as KIBIBYTES PROGRAM [ARG...]
set -u

library=${MULTIHOME_LIBRARY:?the shim to test}
limited=$1
# The table of clients is not in there: where there is no memory for it, the program goes on without.
most=$(($2 * 1024))
shift 2

# works LIMIT LIBRARY COMMAND...: what cannot be preloaded, the loader only warns of.
works() {
    limit=$1
    preload=$2
    shift 2
    said=$(MULTIHOME_LOG=off prlimit --"$limited"="$limit" -- env ${preload:+LD_PRELOAD="$preload"} "$@" 2>&1) &&
        [ "${said#*cannot be preloaded}" = "$said" ]
}

low=0
enough=67108864
works "$enough" '' "$@" || {
    echo "SKIP: $1 does not work under any such limit"
    exit 77
}
while [ $((enough - low)) -gt 4096 ]; do
    middle=$(((low + enough) / 2))
    if works "$middle" '' "$@" 2>/dev/null; then enough=$middle; else low=$middle; fi # the shell says how it ended
done
if works "$((enough + most))" "$library" "$@"; then
    echo "ok: works with $enough bytes ($limited), and with the shim with $most more"
else
    echo "FAILED: works with $enough bytes ($limited), and with the shim not with $most more: $said"
    exit 1
fi
