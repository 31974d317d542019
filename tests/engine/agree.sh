#!/bin/bash
# SPDX-License-Identifier: MIT
# The same scenarios bare, with the shim and with the engine. Shim and engine must agree, but for what is stated here.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_dynamic) || { say "$server" && exit 77; }
lab_topology_b
lab_policy_rule
engine_start
need_shim

# What the engine leaves to the routing table where the shim does not, each with its reason.
declare -A stated=(
    [bound]='the kernel lets no program choose the address of a socket that is bound to its port already'
)

hows=(same batches transfer connected bound)
addresses=(192.0.2.3 198.51.100.2 198.51.100.2) # the last one again: who repeats its question is answered as before
plain() { "$@"; }
port=5300
declare -A port_of=()
for mode in bare shim engine; do
    case $mode in bare) with=plain ;; shim) with=with_shim ;; engine) with=in_group ;; esac
    for how in "${hows[@]}"; do
        port=$((port + 1))
        port_of[$mode-$how]=$port
        "$with" start_server -p "$port" "$mode-$how" "$server" "$port" dual "$how"
    done
done
engine_attach
# One source a line, without the port. A question that comes while the server's socket is still connected for the answer
# before is lost, as any datagram may be, and asked again.
sources() { # MODE HOW
    local address answer tries LAB_PORT=${port_of[$1-$2]}
    for address in "${addresses[@]}"; do
        for ((tries = 0; tries < 5; tries++)); do
            answer=$(ask "$address" --source-port "$((LAB_PORT + 10000))" --timeout 1)
            [ "$answer" = none ] || break
        done
        printf '%s %s\n' "$address" "${answer%%#*}"
    done
}
differences=0
for how in "${hows[@]}"; do
    bare=$(sources bare "$how") shim=$(sources shim "$how") engine=$(sources engine "$how")
    [ "$bare" != "$shim" ] || fail "$how: the shim changes nothing, so this shows nothing"
    if [ -n "${stated[$how]:-}" ]; then
        [ "$engine" = "$bare" ] || fail "$how is stated as not served, and the engine says: $engine; bare: $bare"
        say "ok: $how: left to the routing table (${stated[$how]})"
    elif [ "$engine" = "$shim" ]; then
        say "ok: $how: shim and engine agree"
    else
        say "FAIL: $how: the shim says: ${shim//$'\n'/, }; the engine: ${engine//$'\n'/, }"
        differences=$((differences + 1))
    fi
done
[ "$differences" -eq 0 ] || fail "$differences scenarios differ"
[ "$(counter connected_not_served)" -gt 0 ] || fail "the counter does not show the connected answers that were not served"
