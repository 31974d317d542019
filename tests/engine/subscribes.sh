#!/bin/bash
# SPDX-License-Identifier: MIT
# A client subscribes by one datagram, and is sent to for longer than one question counts. Then it subscribes again, there
# or at another address: what it is sent from then on leaves from where it has asked last.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
lab_topology_b
lab_policy_rule
engine_start

cat >"$LAB_DIR/publisher.py" <<'PYTHON'
import socket, sys, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", int(sys.argv[1])))
server.settimeout(0.02)
subscriber = None
while True:
    try:
        _, subscriber = server.recvfrom(100)
    except TimeoutError:
        pass
    if subscriber:
        server.sendto(b"news", subscriber)
PYTHON
# Subscribes at each ADDRESS for SECONDS; prints where the last of each time's news came from.
cat >"$LAB_DIR/subscriber.py" <<'PYTHON'
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
for subscription in sys.argv[2:]:
    address, seconds = subscription.split(":")
    client.sendto(b"subscribe", (address, int(sys.argv[1])))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        _, source = client.recvfrom(100)
    print(source[0])
PYTHON

in_group start_server publisher "$LAB_PYTHON" "$LAB_DIR/publisher.py" "$LAB_PORT"
subscribe() { # ADDRESS:SECONDS...
    on_client "$LAB_PYTHON" "$LAB_DIR/subscriber.py" "$LAB_PORT" "$@" | xargs
}
expect() { # TEXT WANTED FOUND
    [ "$2" = "$3" ] || fail "$1: the news came from $3, should be $2"
    say "ok: $1: $3"
}
expect "without the engine" "192.0.2.2 192.0.2.2" "$(subscribe 192.0.2.3:0.5 192.0.2.3:0.5)"
engine_attach --timeouts 1,3
expect "once the first question has run out, and after the second" "192.0.2.2 192.0.2.3" \
    "$(subscribe 192.0.2.3:2.5 192.0.2.3:0.5)"
expect "the same at another address, once the client has asked there again" "192.0.2.2 192.0.2.2 198.51.100.2" \
    "$(subscribe 192.0.2.3:2.5 198.51.100.2:1.8 198.51.100.2:0.5)"
