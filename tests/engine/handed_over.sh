#!/bin/bash
# SPDX-License-Identifier: MIT
# A new socket that answers (as TFTP's), with sendto and connected; a program's own question from a new socket is none.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
lab_topology_b
lab_policy_rule
engine_start
addresses=("${ENGINE_V4[@]}")
[ ! -e /proc/sys/net/ipv6 ] || addresses+=("${ENGINE_V6[@]}")
in_group start_server -p 5301 transfer "$server" 5301 dual transfer
in_group start_server -p 5302 connected "$server" 5302 dual connected

for LAB_PORT in 5301 5302; do
    answer=$(ask 198.51.100.2)
    [ "${answer%%#*}" = 192.0.2.2 ] || fail "bare, port $LAB_PORT answered from $answer"
done
engine_attach
if ! attached -j | grep '"made"' >/dev/null; then
    sk_storage_get=107 # include/uapi/linux/bpf.h
    ! "$LAB_PYTHON" "$ENGINE_HERE/takes_programs.py" "$ENGINE_GROUP" "$sk_storage_get" ||
        fail "the engine does not note when a socket is made, and this kernel would tell it"
    skip "this kernel tells no program when a socket was made"
fi
for LAB_PORT in 5301 5302; do
    for address in "${addresses[@]}"; do
        answer=$(ask "$address")
        [ "${answer%%#*}" = "$address" ] || fail "port $LAB_PORT was asked at $address, a new socket answered from $answer"
        say "ok: port $LAB_PORT was asked at $address, a new socket answered from $answer"
    done
done
# Who comes back from the same port, with the same question or another one, is answered from a new socket again.
again() { # SOURCE-PORT WHEN
    local answer
    answer=$(ask 198.51.100.2 --source-port "$1")
    [ "${answer%%#*}" = 198.51.100.2 ] || fail "port $LAB_PORT was asked $2, a new socket answered from $answer"
    say "ok: port $LAB_PORT was asked $2, a new socket answered from $answer"
}
for LAB_PORT in 5301 5302; do
    for turn in first second third; do again 40001 "for the $turn time"; done
done
# So it is where strangers have asked at many other ports since.
cat >"$LAB_DIR/sink.py" <<'PYTHON'
import socket, time
sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
for number, sink in enumerate(sinks):
    sink.bind(("", 5400 + number))
time.sleep(1000)
PYTHON
in_group start_server -p 5499 sink "$LAB_PYTHON" "$LAB_DIR/sink.py"
on_client "$LAB_PYTHON" -c '
import socket
for port in range(5400, 5500):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"a question", ("192.0.2.2", port))'
for LAB_PORT in 5301 5302; do again 40001 "after 100 other ports"; done

# A peer's port that servers answer from: whoever forges its datagram must not steer our own question.
LAB_PORT=5301
for source_port in 53 1812 5060 11211; do
    answer=$(ask 198.51.100.2 --source 203.0.113.1 --source-port "$source_port")
    [ "${answer%%#*}" = 192.0.2.2 ] || fail "a forged datagram from port $source_port chose the source of a new socket: $answer"
    say "ok: what seems to come from port $source_port chooses no new socket's source"
done
