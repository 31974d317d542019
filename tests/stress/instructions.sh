#!/bin/sh
# SPDX-License-Identifier: MIT
# instructions.sh PROGRAM LIBRARY: what the shim costs in user-space instructions, counted by callgrind. Prints the
# figures and judges none of them.
set -eu
program=$1
library=$2
requests=4000

skip() {
    echo "SKIP: $*"
    exit 77
}
command -v valgrind >/dev/null || skip "valgrind is not installed"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM
unset LD_PRELOAD

# collected PRELOAD COMMAND...: the instructions of one run.
collected() {
    preload=$1
    shift
    if ! LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p' "$log" | grep .
}
valgrind --tool=callgrind --callgrind-out-file=/dev/null true >/dev/null 2>&1 || skip "valgrind does not run here"

# each PRELOAD MODE PORTS: the instructions of one more request and its reply.
each() {
    once=$(collected "$1" "$program" "$2" "$requests" "$3") || return 1
    twice=$(collected "$1" "$program" "$2" $((2 * requests)) "$3") || return 1
    echo $(((twice - once) / requests))
}

for ports in 1 1000; do
    plain=$(each '' plain "$ports")
    native=$(each '' pktinfo "$ports")
    shim=$(each "$library" plain "$ports")
    echo "$ports client port(s), instructions per request and reply, client's part included:"
    echo "  recvfrom/sendto $plain, with the shim $shim, recvmsg/sendmsg with IP_PKTINFO $native"
    echo "  shim above native: $((shim - native)) instructions per request and reply, $ports client port(s) (goal 150)"
done
bare=$(collected '' /bin/true)
with=$(collected "$library" /bin/true)
echo "process start: $((with - bare)) instructions more than the $bare of /bin/true (goal 200000)"
