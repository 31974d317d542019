#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The wall of servers: real, unmodified programs, each asked by its own client at every address of the lab, bare and
# with the shim. Each file in wall/ is one server; README.md in this directory says what such a file holds.
#
#   wall.sh NAME             test one server (what ctest does)
#   wall.sh --engine NAME    test it with the kernel engine and without the shim
#   wall.sh --list           the names
#   wall.sh --packages       the Debian packages that all of them need, one a line
#   wall.sh --missing        those of them that would have to be installed here
#   wall.sh --unpacked       packages that would have to be unpacked in WALL_UNPACKED: they cannot be installed
#                            beside the others
#   wall.sh --report [FILE]  run all, and write the table between the wall:begin and wall:end marks of FILE (README.md)
#   wall.sh --check [FILE]   does that table have exactly the rows of the files? (versions are not compared)
#   wall.sh --calls NAME     the calls that the server makes for its datagrams, counted by strace, to fill in its `api`
# shellcheck disable=SC2034,SC2154 # the server files have their variables from here, and the other way round
set -euo pipefail
WALL_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# One order of the files and one language of their programs, on every machine.
export LC_ALL=C.UTF-8
# Debian keeps most servers where an ordinary user does not look. Those of packages that conflict with another server's
# are only unpacked, below the build directory.
WALL_UNPACKED=${WALL_UNPACKED:-$WALL_HERE/../../build/unpacked}
export PATH="$PATH:/usr/sbin:/sbin:$WALL_UNPACKED/usr/sbin:$WALL_UNPACKED/usr/bin"
# shellcheck source-path=SCRIPTDIR source=rows.sh
. "$WALL_HERE/rows.sh"

WALL_MODES=(bare shim)
case ${1:-} in
--list | --packages | --missing | --unpacked | --report | --check)
    "wall_${1#--}" "${@:2}"
    exit
    ;;
--calls) WALL_CALLS=yes && shift ;;
--engine) WALL_MODES=(engine) && shift ;;
-h | --help | '')
    sed -n '4,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
    ;;
esac
WALL_NAME=${1:-}
[[ $WALL_NAME != -* && -r $WALL_HERE/wall/$WALL_NAME.sh ]] || {
    printf 'wall.sh: no server %s\n' "$WALL_NAME" >&2
    exit 2
}

# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$WALL_HERE/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=clients.sh
. "$WALL_HERE/clients.sh"
wall_load "$WALL_NAME"
if wall_unmet; then skip "package $WALL_LACKS is not installed"; fi
need_shim
lab_topology_b
lab_policy_rule
if [ "${WALL_MODES[*]}" = engine ]; then
    # shellcheck source-path=SCRIPTDIR source=../engine/engine.sh
    . "$WALL_HERE/../engine/engine.sh"
    engine_start
    engine_attach
fi

# --- what a server file can use --------------------------------------------------------------------------------------
# LAB_PORT   the port to serve at                    dir       a directory of this process alone
# family     v4, v6, or both                         wildcard  0.0.0.0 or :: (:: for both)
# wildcards  one a family, IPv6 last                  programs  where the small servers in many languages are

programs=$WALL_HERE/programs
WALL_RUN=  # bare-v4, shim-both...
WALL_UNIT=0

# Starts the server and returns when it is bound to SOCKETS sockets (1 unless told).
run() { # [-s SOCKETS] CMD...
    local sockets=1
    [ "$1" != -s ] || { sockets=$2 && shift 2; }
    [ -z "${WALL_CALLS:-}" ] || set -- strace -f -qq -o "$dir/calls" -e trace=%network,write,writev,read,readv "$@"
    start_server -s "$sockets" "$WALL_RUN" "$@"
}

# For a server whose UDP socket only comes with its first client: it is ready when it listens for the TCP connection.
run_tcp() { # CMD...
    local port tries
    run -s 0 "$@"
    printf -v port ':%04X' "$LAB_PORT"
    for ((tries = 0; tries < 400; tries++)); do
        if { ip netns exec "$LAB_SERVER" cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
            awk -v port="$port" '$4 == "0A" && substr($2, length($2) - 4) == port { n++ } END { exit !n }'; then
            return
        fi
        sleep 0.05
    done
    fail "$WALL_RUN does not listen on TCP port $LAB_PORT"
}

# --- the test --------------------------------------------------------------------------------------------------------

wanted() { # MODE ADDRESS: the verdict that there should be
    case $1-$2 in
    # The bare server is right where routing would choose the same address, which shows that it does answer.
    engine-192.0.2.2 | engine-2001:db8:1::2) printf 'right\n' ;;
    engine-*) printf '%s\n' "$engine" ;;
    shim-* | bare-192.0.2.2 | bare-2001:db8:1::2) printf 'right\n' ;;
    *:*) printf '%s\n' "$bare_v6" ;;
    *) printf '%s\n' "$bare" ;;
    esac
}

# One process of the server, and everything that is asked of it. The questions run beside each other, and beside the
# next server's start: most of the time goes into waiting for answers that do not come.
unit() { # MODE FAMILY ADDRESS...
    local mode=$1 family=$2 address wildcard dir patience
    shift 2
    # `case` and not `if`: the functions of a server file must end at their first error.
    case $family in v4) wildcard=0.0.0.0 ;; *) wildcard=:: ;; esac
    WALL_UNIT=$((WALL_UNIT + 1))
    WALL_RUN=$mode-$WALL_UNIT-$family
    LAB_PORT=$((5300 + WALL_UNIT))
    dir=$LAB_DIR/$WALL_RUN
    mkdir -m 755 "$dir"
    case $mode in
    bare) serve ;;
    engine) in_group serve ;;
    shim)
        with_shim serve
        # A server that is right anyway would be right without the shim as well.
        # The process may be about to execute another program.
        for ((tries = 0; tries < 200; tries++)); do
            ! grep -qsF "$MULTIHOME_LIBRARY" "/proc/$(server_pid "$WALL_RUN")/maps" || break
            sleep 0.05
        done
        [ "$tries" -lt 200 ] || fail "the shim is not in $WALL_RUN"
        ;;
    esac
    for address in "$@"; do
        # Long where an answer is due, so that a busy machine changes no verdict.
        case $(wanted "$mode" "$address") in right) patience=15 ;; wrong) patience=1 ;; esac
        (
            trap '' PIPE # a client that has given up must not end us before we have said so
            status=0
            question "$address" >"$LAB_DIR/$mode.$address.said" 2>&1 || status=$?
            case $status in 0) verdict=right ;; "$NOBODY_THERE") verdict=nobody ;; *) verdict=wrong ;; esac
            printf '%s\n' "$verdict" >"$LAB_DIR/$mode.$address.verdict"
        ) &
        WALL_QUESTIONS+=("$!")
    done
}

wildcards=(0.0.0.0)
v4=(192.0.2.2 192.0.2.3 198.51.100.2) v6=()
if [ -e /proc/sys/net/ipv6 ] && [[ $families == *v6* ]]; then
    wildcards+=(::)
    v6=(2001:db8:1::2 2001:db8:1::3 2001:db8:2::2)
fi
if [[ $families != *v4* ]]; then wildcards=(::) v4=(); fi
WALL_ASKED=("${v4[@]}" "${v6[@]}")
WALL_QUESTIONS=()
for mode in "${WALL_MODES[@]}"; do
    case $serves in
    all) unit "$mode" both "${WALL_ASKED[@]}" ;;
    family)
        [ ${#v4[@]} -eq 0 ] || unit "$mode" v4 "${v4[@]}"
        [ ${#v6[@]} -eq 0 ] || unit "$mode" v6 "${v6[@]}"
        ;;
    one)
        for address in "${v4[@]}"; do unit "$mode" v4 "$address"; done
        for address in "${v6[@]}"; do unit "$mode" v6 "$address"; done
        ;;
    *) fail "serves=$serves?" ;;
    esac
done
wait "${WALL_QUESTIONS[@]}" || true
disown -a # or bash reports each server that ends with the lab

if [ -n "${WALL_CALLS:-}" ]; then
    for mode in "${WALL_MODES[@]}"; do
        say "$mode:"
        cat "$LAB_DIR/$mode"-*/calls | wall_count_calls
    done
    exit 0
fi

failures=0
say "$title $(version), $api"
for mode in "${WALL_MODES[@]}"; do
    for address in "${WALL_ASKED[@]}"; do
        verdict=$(cat "$LAB_DIR/$mode.$address.verdict" 2>/dev/null || printf 'nothing')
        said=$(tail -n 1 "$LAB_DIR/$mode.$address.said")
        wanted=$(wanted "$mode" "$address")
        if [ "$verdict" = "$wanted" ]; then
            say "ok: $mode, asked $address: $verdict${said:+ ($said)}"
        else
            say "FAIL: $mode, asked $address: $verdict${said:+ ($said)}, should be $wanted"
            failures=$((failures + 1))
        fi
    done
done
[ "$failures" -eq 0 ] || fail "$failures of $((${#WALL_MODES[@]} * ${#WALL_ASKED[@]})) answers are not as they should be"
[ -z "${WALL_VERSIONS:-}" ] || version >"$WALL_VERSIONS/$WALL_NAME"
