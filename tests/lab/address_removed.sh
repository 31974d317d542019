#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An address goes away while the server runs. What the server then sends to a peer that had asked there is sent as
# without the shim, from the same source. The peer's next request, to another address, is answered from that one.
# Usage: address_removed.sh v4|v6|dual
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

family=$1
case $family in
v4) removed=(192.0.2.3) another=(192.0.2.4) ;;
v6) removed=(2001:db8:1::3) another=(2001:db8:1::4) ;;
dual) removed=(192.0.2.3 2001:db8:1::3) another=(192.0.2.4 2001:db8:1::4) ;;
*) fail "unknown family $family" ;;
esac
[ "$family" = v4 ] || need_ipv6
need_shim
lab_topology_a

prefix_length() { if [[ $1 == *:* ]]; then printf 64; else printf 24; fi; } # ADDRESS

add_address() { # ADDRESS
    local options=()
    [[ $1 != *:* ]] || options=(nodad)
    ip -n "$LAB_SERVER" address add "$1/$(prefix_length "$1")" dev eth0 "${options[@]}"
}

# Waits until FILE has COUNT lines.
lines_in() { # FILE COUNT
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ "$(wc -l <"$1")" -lt "$2" ] || return 0
        sleep 0.05
    done
    fail "${1##*/} has only $(wc -l <"$1") lines: $(cat "$1")"
}

# Asks ADDRESS, removes it, has the server SERVER send to the peer again: prints both sources.
ask_and_remove() { # SERVER ADDRESS
    local log=$LAB_DIR/$1-answers asker spoken
    spoken=$(wc -l <"$(log_of "$1")")
    : >"$log"
    on_client "$LAB_PYTHON" "$LAB_HERE/ask.py" --answers 2 --timeout 20 --source-port 40000 "$2" "$LAB_PORT" >"$log" &
    asker=$!
    lines_in "$log" 1
    ip -n "$LAB_SERVER" address delete "$2/$(prefix_length "$2")" dev eth0
    kill -USR1 "$(server_pid "$1")"
    lines_in "$(log_of "$1")" $((spoken + 1))
    [[ "$(tail -n 1 "$(log_of "$1")")" == sent* ]] || fail "the send failed: $(tail -n 1 "$(log_of "$1")")"
    wait "$asker" || fail "the second answer did not arrive: $(cat "$log")"
    paste -sd ' ' "$log"
}

for address in "${another[@]}"; do add_address "$address"; done
# The newest address is the preferred one on an IPv6 link: have the one under test be neither newest nor preferred.
for address in "${removed[@]}"; do
    say "$family server, bare"
    start_server bare "${LAB_ECHO[@]}" --family "$family"
    bare=$(ask_and_remove bare "$address")
    [ "${bare%% *}" != "$address" ] || fail "asked $address bare, and the answer came from there"
    say "ok: bare, answered from ${bare%% *}; after the address was removed from ${bare##* }"
    stop_server bare

    add_address "$address"
    say "$family server, with the shim"
    with_shim start_server shim "${LAB_ECHO[@]}" --family "$family"
    shimmed=$(ask_and_remove shim "$address")
    [ "$shimmed" = "$address ${bare##* }" ] || fail "answered from $shimmed, should be $address ${bare##* }"
    say "ok: answered from ${shimmed%% *}; after the address was removed from ${shimmed##* }, as bare"
    for other in "${another[@]}"; do expect_right "$other" --source-port 40000; done
    add_address "$address"
    expect_right "$address" --source-port 40000
    stop_server shim
done
