# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The lab: a server and a client in two network namespaces, joined by veth pairs. To be sourced by a bash test that
# has `set -euo pipefail`. Everything it makes carries the test's process id and is removed when the test ends, however
# it ends; what a killed test could not remove, the next one does: of the same namespace of processes, for only there the
# id says whether the test still runs, and others may share /run and /tmp.
#
#   server                                                    client
#   eth0  192.0.2.2/24, 192.0.2.3/24                     up0  192.0.2.1/24
#         2001:db8:1::2/64, ::3/64, fe80::2, fe80::3          2001:db8:1::1/64, fe80::1
#   eth1  198.51.100.2/24, 2001:db8:2::2/64  (topology B) up1  198.51.100.1/24, 2001:db8:2::1/64
#         fe80::2, fe80::3                                    fe80::1
#   default route through eth0, rp_filter=1              lo   203.0.113.1, 2001:db8:ffff::1 (what it asks from)
#
# Making it      lab_topology_a, lab_topology_b, lab_policy_rule, rp_filter VALUE INTERFACE
# Running in it  on_server CMD..., on_client CMD..., with_shim FUNCTION..., unconfined PROGRAM
# Servers        start_server [-p PORT] [-s SOCKETS] NAME CMD..., stop_server NAME, server_pid NAME, log_of NAME
# Asking         ask ADDRESS [OPTION...], dig_source ADDRESS NAME [OPTION...]
# Verdicts       expect_right, expect_bare_wrong, expect_answer, expect_silence, expect_dig_right,
#                expect_dig_bare_wrong; say, fail, skip, need COMMAND..., need_ipv6, need_shim

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_PORT=5300
# Debian's own interpreter: a version manager's wrapper would be a different program in each user's PATH.
LAB_PYTHON=/usr/bin/python3
# shellcheck disable=SC2034 # for the tests
LAB_ECHO=("$LAB_PYTHON" "$LAB_HERE/echo_server.py")
# A word first: by a number, an earlier version of this file would take it for an id, and what it names for left.
LAB_PREFIX=mhlab-in$(stat -L -c %i /proc/self/ns/pid)
LAB_DIR=
LAB_SERVER=
LAB_CLIENT=
LAB_PRELOAD=
LAB_ENTER=() # a command in front of what start_server starts
declare -A LAB_PIDS=()

# What the caller's shell has set must not decide what a test sees.
unset LD_PRELOAD MULTIHOME_LOG MULTIHOME_LOG_FILE MULTIHOME_PORTS MULTIHOME_PEERS MULTIHOME_SAME_INTERFACE
unset MULTIHOME_DISABLE MULTIHOME_TIMEOUTS
# shellcheck disable=SC2034 # for the tests
MULTIHOMECTL=${MULTIHOMECTL:-$LAB_HERE/../../build/multihomectl}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'FAIL: %s\n' "$*" >&2
    exit 1
}

skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}

need() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || skip "$command is not installed"
    done
}

need_ipv6() { [ -e /proc/sys/net/ipv6 ] || skip "this kernel has no IPv6"; }

# A missing library is a failure and not a skip: a test run that tested nothing must not look like a good one.
need_shim() {
    MULTIHOME_LIBRARY=${MULTIHOME_LIBRARY:-$LAB_HERE/../../build/libmultihome.so}
    [ -r "$MULTIHOME_LIBRARY" ] || fail "no $MULTIHOME_LIBRARY: build it, or set MULTIHOME_LIBRARY"
    MULTIHOME_LIBRARY=$(realpath "$MULTIHOME_LIBRARY")
}

# --- making and removing ---------------------------------------------------------------------------------------------

lab_kill_all_in() { # NAMESPACE: ask, wait a little, insist
    local pids tries
    for tries in {1..40}; do
        pids=$(ip netns pids "$1" 2>/dev/null) || return 0
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086 # a list of numbers
        case $tries in
        1) kill -TERM $pids 2>/dev/null || true ;;
        10) kill -KILL $pids 2>/dev/null || true ;;
        esac
        sleep 0.05
    done
}

lab_remove_namespace() {
    lab_kill_all_in "$1"
    ip netns delete "$1" 2>/dev/null || true
}

# A test that was killed with SIGKILL leaves its namespaces. Their names tell whose they were.
lab_sweep() {
    local name owner
    while read -r name _; do
        [[ $name =~ ^$LAB_PREFIX-([0-9]+)- ]] || continue
        owner=${BASH_REMATCH[1]}
        [ -d "/proc/$owner" ] || lab_remove_namespace "$name"
    done < <(ip netns list 2>/dev/null)
    for name in "${TMPDIR:-/tmp}/$LAB_PREFIX"-*; do
        [[ $name =~ /$LAB_PREFIX-([0-9]+)\. ]] || continue
        [ -d "/proc/${BASH_REMATCH[1]}" ] || rm -rf -- "$name"
    done
}

lab_end() {
    local status=$? log
    trap '' HUP INT TERM
    trap - EXIT
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        for log in "$LAB_DIR"/*.log; do
            [ -s "$log" ] || continue
            printf -- '--- the end of %s\n' "${log##*/}" >&2
            tail -n 20 "$log" >&2
        done
    fi
    [ -z "$LAB_SERVER" ] || lab_remove_namespace "$LAB_SERVER"
    [ -z "$LAB_CLIENT" ] || lab_remove_namespace "$LAB_CLIENT"
    [ -z "$LAB_DIR" ] || rm -rf -- "$LAB_DIR"
    exit "$status"
}

lab_sysctl() { # NAMESPACE PATH VALUE
    # shellcheck disable=SC2016 # for the inner shell
    ip netns exec "$1" sh -c 'echo "$2" >"/proc/sys/net/$1"' sh "$2" "$3"
}

lab_start() {
    local name error
    [ "$(id -u)" -eq 0 ] || skip "the lab makes network namespaces and needs root"
    need ip setsid "$LAB_PYTHON"
    lab_sweep
    trap lab_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/$LAB_PREFIX-$$.XXXXXX")
    chmod 755 "$LAB_DIR" # servers that give up root read their configuration here
    name=$LAB_PREFIX-$$-$RANDOM
    # Named before they are made, so that a signal in between finds them.
    LAB_SERVER=$name-server LAB_CLIENT=$name-client
    error=$(ip netns add "$LAB_SERVER" 2>&1) || skip "cannot make a network namespace: $error"
    ip netns add "$LAB_CLIENT"
    error=$(ip link add eth0 netns "$LAB_SERVER" type veth peer name up0 netns "$LAB_CLIENT" 2>&1) ||
        skip "cannot make a veth pair: $error"
    # The server keeps strict checking, as a distribution may set it; "all" is 0 because the larger of the two counts.
    lab_sysctl "$LAB_SERVER" ipv4/conf/all/rp_filter 0
    lab_sysctl "$LAB_CLIENT" ipv4/conf/all/rp_filter 0
    ip -n "$LAB_SERVER" link set lo up
    ip -n "$LAB_CLIENT" link set lo up
    ip -n "$LAB_CLIENT" address add 203.0.113.1/32 dev lo
    [ ! -e /proc/sys/net/ipv6 ] || ip -n "$LAB_CLIENT" address add 2001:db8:ffff::1/128 dev lo nodad
}

# One link: addresses without duplicate detection, which would make them unusable for a second. The client reaches the
# server from its own address behind the link, so that only the server's routes decide where an answer goes.
lab_link() { # INDEX IPV4-PREFIX IPV6-PREFIX
    local server=eth$1 client=up$1 v4=$2 v6=$3
    rp_filter 1 "$server"
    lab_sysctl "$LAB_CLIENT" "ipv4/conf/$client/rp_filter" 0
    ip -n "$LAB_SERVER" address add "$v4.2/24" broadcast + dev "$server"
    ip -n "$LAB_CLIENT" address add "$v4.1/24" broadcast + dev "$client"
    if [ -e /proc/sys/net/ipv6 ]; then
        # Link-local addresses of our own choice; the second one is deprecated, so that the kernel prefers the first.
        ip -n "$LAB_SERVER" link set "$server" addrgenmode none
        ip -n "$LAB_CLIENT" link set "$client" addrgenmode none
        ip -n "$LAB_SERVER" address add fe80::3/64 dev "$server" nodad preferred_lft 0
        ip -n "$LAB_SERVER" address add fe80::2/64 dev "$server" nodad
        ip -n "$LAB_CLIENT" address add fe80::1/64 dev "$client" nodad
        ip -n "$LAB_SERVER" address add "$v6::2/64" dev "$server" nodad
        ip -n "$LAB_CLIENT" address add "$v6::1/64" dev "$client" nodad
    fi
    ip -n "$LAB_SERVER" link set "$server" up
    ip -n "$LAB_CLIENT" link set "$client" up
    ip -n "$LAB_CLIENT" route replace "$v4.0/24" dev "$client" src 203.0.113.1
    if [ -e /proc/sys/net/ipv6 ]; then
        ip -n "$LAB_CLIENT" -6 route replace "$v6::/64" dev "$client" src 2001:db8:ffff::1 metric 10
    fi
}

# `ip` comes back before the kernel has done it all: a link starts to send, and an IPv6 address gets the route by which
# what is sent to it is taken in, a moment later (in a queue of work, net/ipv6/addrconf.c). What comes before is lost.
lab_await_addresses() {
    local namespace tries addresses routes
    for namespace in "$LAB_SERVER" "$LAB_CLIENT"; do
        for ((tries = 0; tries < 200; tries++)); do
            addresses=$(ip -n "$namespace" -6 -o address show | wc -l)
            routes=$(ip -n "$namespace" -6 route show table local type local | wc -l)
            if [ "$routes" -ge "$addresses" ] && ! ip -n "$namespace" link show up | grep -q 'NO-CARRIER\|state.*DOWN'; then
                continue 2
            fi
            sleep 0.05
        done
        fail "the addresses of $namespace are not ready"
    done
}

# A: two addresses of each family on one interface.
lab_topology_a() {
    lab_start
    lab_link 0 192.0.2 2001:db8:1
    ip -n "$LAB_SERVER" address add 192.0.2.3/24 broadcast + dev eth0
    ip -n "$LAB_SERVER" route add default via 192.0.2.1 dev eth0
    if [ -e /proc/sys/net/ipv6 ]; then
        ip -n "$LAB_SERVER" address add 2001:db8:1::3/64 dev eth0 nodad
        # "src", because kernels differ in which of two equal addresses they prefer.
        ip -n "$LAB_SERVER" -6 route add default via 2001:db8:1::1 dev eth0 src 2001:db8:1::2
    fi
    lab_await_addresses
}

# B: a second interface with an uplink of its own. The client is behind both.
lab_topology_b() {
    lab_topology_a
    ip link add eth1 netns "$LAB_SERVER" type veth peer name up1 netns "$LAB_CLIENT"
    lab_link 1 198.51.100 2001:db8:2
    lab_await_addresses
}

# What a host with two uplinks needs anyway: what has the second interface's address leaves through it.
lab_policy_rule() {
    ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 table 42
    ip -n "$LAB_SERVER" rule add from 198.51.100.2 lookup 42
    if [ -e /proc/sys/net/ipv6 ]; then
        ip -n "$LAB_SERVER" -6 route add default via 2001:db8:2::1 dev eth1 table 42
        ip -n "$LAB_SERVER" -6 rule add from 2001:db8:2::2 lookup 42
    fi
}

rp_filter() { # VALUE INTERFACE
    lab_sysctl "$LAB_SERVER" "ipv4/conf/$2/rp_filter" "$1"
}

# --- running things in it --------------------------------------------------------------------------------------------

# LD_PRELOAD is set for the command alone, not for `ip`.
on_server() { ip netns exec "$LAB_SERVER" env ${LAB_PRELOAD:+"LD_PRELOAD=$LAB_PRELOAD"} "$@"; }
on_client() { ip netns exec "$LAB_CLIENT" "$@"; }

# Runs one of the functions here with the shim in what it starts on the server: with_shim start_server NAME CMD...
with_shim() {
    [ -n "${MULTIHOME_LIBRARY:-}" ] || need_shim
    local LAB_PRELOAD=$MULTIHOME_LIBRARY
    "$@"
}

# AppArmor confines programs by their path, and a confined server can neither read our files nor load the shim from a
# build tree. Prints a path that runs the very same program unconfined.
unconfined() { # PROGRAM
    local program
    program=$(command -v "$1") || fail "$1 is not installed"
    if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
        cp -- "$program" "$LAB_DIR/${program##*/}"
        program=$LAB_DIR/${program##*/}
    fi
    printf '%s\n' "$program"
}

# How many unconnected UDP sockets are bound to PORT in the server's namespace, of both families.
lab_sockets_on() { # PORT
    local port
    printf -v port ':%04X' "$1"
    { ip netns exec "$LAB_SERVER" cat /proc/net/udp /proc/net/udp6 2>/dev/null || true; } |
        awk -v port="$port" '$4 == "07" && substr($2, length($2) - 4) == port { n++ } END { print n + 0 }'
}

# Starts CMD in the background and returns when SOCKETS sockets (1 unless told) are bound to PORT.
start_server() { # [-p PORT] [-s SOCKETS] NAME CMD...
    local port=$LAB_PORT sockets=1 option OPTIND=1 tries
    while getopts p:s: option; do
        case $option in
        p) port=$OPTARG ;;
        s) sockets=$OPTARG ;;
        *) fail "start_server: unknown option" ;;
        esac
    done
    shift $((OPTIND - 1))
    local name=$1
    shift
    # A session of its own, so that stop_server reaches what the server has forked as well.
    setsid ip netns exec "$LAB_SERVER" "${LAB_ENTER[@]}" env ${LAB_PRELOAD:+"LD_PRELOAD=$LAB_PRELOAD"} "$@" \
        >"$LAB_DIR/$name.log" 2>&1 </dev/null &
    LAB_PIDS[$name]="$! $port"
    for ((tries = 0; tries < 400; tries++)); do
        [ "$(lab_sockets_on "$port")" -lt "$sockets" ] || return 0
        kill -0 "${LAB_PIDS[$name]% *}" 2>/dev/null || fail "$name ended before it had bound port $port"
        sleep 0.05
    done
    fail "$name did not bind $sockets socket(s) to port $port"
}

server_pid() { printf '%s\n' "${LAB_PIDS[$1]% *}"; } # NAME
log_of() { printf '%s\n' "$LAB_DIR/$1.log"; }        # NAME

# Ends a server and its children, and returns when its port is free again.
stop_server() { # NAME
    local pid=${LAB_PIDS[$1]% *} port=${LAB_PIDS[$1]#* } tries
    kill -TERM -- "-$pid" 2>/dev/null || true
    for ((tries = 0; tries < 200; tries++)); do
        if ! kill -0 "$pid" 2>/dev/null && [ "$(lab_sockets_on "$port")" -eq 0 ]; then
            break
        fi
        [ "$tries" -ne 100 ] || kill -KILL -- "-$pid" 2>/dev/null || true
        sleep 0.05
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "LAB_PIDS[$1]"
}

# --- asking and judging ----------------------------------------------------------------------------------------------

# Prints where the answer came from, or "none". The options are those of ask.py.
ask() { # ADDRESS [OPTION...]
    local address=$1 answer status=0
    shift
    answer=$(on_client "$LAB_PYTHON" "$LAB_HERE/ask.py" "$@" "$address" "$LAB_PORT") || status=$?
    [ "$status" -le 1 ] || fail "ask.py could not ask $address"
    printf '%s\n' "$answer"
}

# Requires exactly this answer, as ask.py prints it ("192.0.2.3", "192.0.2.3 via up0", "none").
expect_answer() { # ANSWER ADDRESS [OPTION...]
    local wanted=$1 address=$2 answer
    shift 2
    answer=$(ask "$address" "$@")
    [ "$answer" = "$wanted" ] || fail "asked $address, answered from $answer, should be $wanted"
    say "ok: asked $address, answered from $answer"
}

expect_right() { # ADDRESS [OPTION...]
    expect_answer "${1%%%*}" "$@"
}

# The bare server must answer, and from a wrong address: otherwise the lab does not show what it is there to show.
expect_bare_wrong() { # ADDRESS [OPTION...]
    local address=$1 answer
    shift
    answer=$(ask "$address" "$@")
    [ "$answer" != none ] || fail "asked $address bare, no answer at all"
    [ "${answer%% *}" != "${address%%%*}" ] || fail "asked $address bare, and the answer came from there: no problem to solve"
    say "ok: asked $address bare, answered (wrongly, as it should be here) from $answer"
}

expect_silence() { # ADDRESS [OPTION...]
    expect_answer none "$@" --timeout 0.7
}

# What dig makes of the answer: "right", "wrong SOURCE" or "none". dig never sees an answer from an unexpected source
# (its socket is connected), so ask.py has to tell where that one came from.
dig_source() { # ADDRESS NAME [DIG-OPTION...]
    local address=$1 name=$2 output
    shift
    output=$(on_client dig "@$address" -p "$LAB_PORT" +tries=1 +time=1 "$@" 2>&1) || true
    if [[ $output == *";; SERVER: "* ]]; then
        printf 'right\n'
        return
    fi
    output=$(ask "$address" --dns "$name" --timeout 1)
    case $output in
    none) printf 'none\n' ;;
    "${address%%%*}") fail "dig got no answer from $address, but ask.py did" ;;
    *) printf 'wrong %s\n' "$output" ;;
    esac
}

expect_dig_right() { # ADDRESS NAME [DIG-OPTION...]
    local verdict
    verdict=$(dig_source "$@")
    [ "$verdict" = right ] || fail "dig asked $1: $verdict"
    say "ok: dig asked $1 and took the answer"
}

expect_dig_bare_wrong() { # ADDRESS NAME [DIG-OPTION...]
    local verdict
    verdict=$(dig_source "$@")
    [[ $verdict == wrong* ]] || fail "dig asked $1 bare: $verdict, should be wrong"
    say "ok: dig asked $1 bare and did not get the answer from ${verdict#wrong }"
}
