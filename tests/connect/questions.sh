#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Counts system calls, bare and under the shim. A socket that is made for one question costs at most two more, and none
# for each datagram. A connect(), and a socket that comes from another process, have numbers of their own below.
#
#   questions.sh PROGRAM FAMILY PORT
#   questions.sh PROGRAM right|steered|networks
#   questions.sh PROGRAM handed
#
# In a network namespace of its own, where nobody else has the port.
set -u

if [ "${QUESTIONS_IN:-}" != namespace ]; then
    unshare --map-root-user --net ip link set lo up 2>/dev/null || {
        echo "SKIP: may not make a network namespace, or ip is missing"
        exit 77
    }
    QUESTIONS_IN=namespace exec unshare --map-root-user --net sh "$0" "$@"
fi
ip link set lo up
library=${MULTIHOME_LIBRARY:?the shim to test}
program=$1
shift
command -v strace >/dev/null || {
    echo "SKIP: strace is not installed"
    exit 77
}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
unset LD_PRELOAD MULTIHOME_LOG MULTIHOME_PORTS MULTIHOME_DISABLE
strace -o "$work/trial" true 2>"$work/why" || {
    echo "SKIP: strace does not work here: $(head -n 1 "$work/why")"
    exit 77
}

# calls PRELOAD ARG...: how many the program makes, without those that match $uncounted.
uncounted=' (mmap|munmap|brk|mprotect|madvise)\('
calls() {
    preload=$1
    shift
    strace -f -qq -o "$work/calls" ${preload:+-E LD_PRELOAD="$preload"} "$program" "$@" >"$work/output" || {
        # 77 where the program has nothing to run on: not where it had that bare.
        status=$?
        cat "$work/output" >&2
        [ "$status" -ne 77 ] || [ -z "$preload" ] || status=1
        exit "$status"
    }
    grep -cvE "$uncounted" "$work/calls"
}

status=0
expect() { # WHAT NUMBER LIMIT
    if [ "$2" -le "$3" ]; then
        echo "ok: $1: $2"
    else
        echo "FAIL: $1: $2, should be at most $3"
        status=1
    fi
}

if [ "$1" = handed ]; then
    few=$(calls "$library" 130) || exit "$?"
    many=$(calls "$library" 160) || exit "$?"
    # Of the 130 sockets that are there already, each may be the one that has come.
    expect "calls for 30 more sockets of one port" $((many - few)) 4000
    exit "$status"
fi

if [ $# -eq 1 ]; then
    # One more socket for each of 40 clients than for each of 20; the reference is in under_load.cpp.
    [ "$1" = right ] && standard=plain || standard=reference
    few=$(calls "$library" "$1" 20 "$standard") || exit "$?"
    many=$(calls "$library" "$1" 40 "$standard") || exit "$?"
    least=$((many - few))
    few=$(calls "$library" "$1" 20 shim) || exit "$?"
    many=$(calls "$library" "$1" 40 shim) || exit "$?"
    # Bare: packet information is one more; where the address ended up is looked at once. The reference has it on.
    # Some networks, but not each, are looked at first.
    case $1 in
    right | networks) allowed=60 ;;
    steered) allowed=40 ;;
    esac
    expect "more calls than the $standard for 20 sockets" $((many - few - least)) "$allowed"
    if [ "$1" = steered ]; then
        # By this the kernel finds each of them as fast as any other connected socket: see steering.cpp.
        found=$(grep -c 'setsockopt(.*SO_BINDTOIFINDEX' "$work/calls")
        expect "of 40 sockets those that the kernel does not hash anew" $((40 - found)) 0
    fi
    exit "$status"
fi

for_datagrams() { # PRELOAD: the calls for 30 more datagrams each way on each of 10 sockets
    few=$(calls "$1" "$family" "$port" 10 2) || exit "$?"
    many=$(calls "$1" "$family" "$port" 10 32) || exit "$?"
    echo $((many - few))
}
for_sockets() { # PRELOAD: the calls for 20 more sockets
    few=$(calls "$1" "$family" "$port" 10 1) || exit "$?"
    many=$(calls "$1" "$family" "$port" 30 1) || exit "$?"
    echo $((many - few))
}
family=$1
port=$2
bare=$(for_sockets "") || exit "$?"
shim=$(for_sockets "$library") || exit "$?"
expect "more calls for 20 sockets" $((shim - bare)) 40
# A datagram maps nothing either.
uncounted='^$'
bare=$(for_datagrams "") || exit "$?"
shim=$(for_datagrams "$library") || exit "$?"
expect "more calls for 600 datagrams" $((shim - bare)) 0
exit "$status"
