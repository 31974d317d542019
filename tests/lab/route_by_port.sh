#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A rule for some of the clients' ports chooses another source; two uplinks that are balanced by ports do as much. The
# server has a connected socket for each client. What the routing table chooses for one port of a client, or of ours, says
# nothing of the next one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_a
ip -n "$LAB_SERVER" route add default via 192.0.2.1 dev eth0 src 192.0.2.3 table 100
ip -n "$LAB_SERVER" rule add ipproto udp dport 40001 lookup 100 2>"$LAB_DIR/rule" ||
    skip "this kernel has no rules for ports: $(cat "$LAB_DIR/rule")"

serve=("${LAB_ECHO[@]}" --answer-from connected)
beyond=(192.0.2.2 --source 203.0.113.1 --source-port)

start_server bare "${serve[@]}"
expect_answer 192.0.2.2 "${beyond[@]}" 40000
expect_answer 192.0.2.3 "${beyond[@]}" 40001
stop_server bare

with_shim start_server shim "${serve[@]}"
for _ in {1..10}; do
    expect_answer 192.0.2.2 "${beyond[@]}" 40000
    expect_answer 192.0.2.2 "${beyond[@]}" 40001
done
stop_server shim

# Many questions in a second, first from one port, then from both in turn. The shim looks at what the kernel chooses only
# now and then by then. That must not fall on the same port each time, whichever that would begin with.
# shellcheck disable=SC2016 # the program's own text
ask_in_turn=("$LAB_PYTHON" -c 'import socket, sys
ports = {}
for port in (40000, 40001):
    ports[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ports[port].bind(("203.0.113.1", port))
    ports[port].settimeout(0.2)
def is_right(port):
    # The socket that answered the last question takes this one, if it is not closed yet.
    for _ in range(100):
        ports[port].sendto(b"question", ("192.0.2.2", int(sys.argv[1])))
        try:
            return ports[port].recvfrom(2000)[1][0] == "192.0.2.2"
        except TimeoutError:
            pass
first = [is_right(40000) for _ in range(int(sys.argv[2]))]
in_turn = [(is_right(40000), is_right(40001)) for _ in range(100)]
print(all(first), in_turn[50:].count((True, True)))')
for before in 60 61; do
    with_shim start_server "shim_$before" "${serve[@]}"
    said=$(on_client "${ask_in_turn[@]}" "$LAB_PORT" "$before")
    [ "$said" = "True 50" ] || fail "asked $before times, then in turn: $said, not True 50"
    stop_server "shim_$before"
done

# Two services in one program, one of which has a rule of its own.
ip -n "$LAB_SERVER" rule add ipproto udp sport $((LAB_PORT + 1)) lookup 100
# shellcheck disable=SC2016 # the program's own text
services=("$LAB_PYTHON" -c 'import select, socket, sys
def bound(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    return server
listening = {bound(port): port for port in (int(sys.argv[1]), int(sys.argv[1]) + 1)}
while True:
    for server in select.select(listening, [], [])[0]:
        data, client = server.recvfrom(2000)
        with bound(listening[server]) as answering:
            answering.connect(client)
            answering.send(data)')
# shellcheck disable=SC2016 # the program's own text
ask_services=("$LAB_PYTHON" -c 'import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("203.0.113.1", 40000))
client.settimeout(0.2)
def source(port):
    for _ in range(100): # as above, where the pause was too short
        time.sleep(0.003)
        client.sendto(b"question", ("192.0.2.2", port))
        try:
            # What another port sends is an answer that was given up.
            while (name := client.recvfrom(2000)[1])[1] != port:
                pass
            return name[0]
        except TimeoutError:
            pass
port = int(sys.argv[1])
print({source(port) for _ in range(60)}, {source(port + 1) for _ in range(60)})')
ask_both() { on_client "${ask_services[@]}" "$LAB_PORT"; }
start_server bare_services "${services[@]}" "$LAB_PORT"
said=$(ask_both)
[ "$said" = "{'192.0.2.2'} {'192.0.2.3'}" ] || fail "without the library, answers from $said"
stop_server bare_services
with_shim start_server shim_services "${services[@]}" "$LAB_PORT"
said=$(ask_both)
[ "$said" = "{'192.0.2.2'} {'192.0.2.2'}" ] || fail "two services: answers from $said"
stop_server shim_services
