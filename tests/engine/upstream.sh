#!/bin/bash
# SPDX-License-Identifier: MIT
# A program asks its upstream every now and then, with longer silence in between than "we spoke first" lasts. What a
# stranger sends in the upstream's name gets one answer where it asked, and all else leaves from where the routing table
# says. A peer that does ask there, and asks again, is known there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
lab_topology_b
engine_start

cat >"$LAB_DIR/asker.py" <<'PYTHON'
import socket, sys
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.bind(("", int(sys.argv[1])))
while True:
    asker.sendto(b"question", ("192.0.2.1", 7000))
    asker.recvfrom(100)
    for _ in range(3):
        asker.sendto(b"question", ("192.0.2.1", 7000))
PYTHON
# Prints where the questions came from, as many as are asked before and after each of what it sends.
cat >"$LAB_DIR/upstream.py" <<'PYTHON'
import socket, sys, time
upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
upstream.bind(("192.0.2.1", 7000))
upstream.settimeout(10)
print("ready", file=sys.stderr, flush=True)
def questions(count):
    print(*(upstream.recvfrom(100)[1][0] for _ in range(count)))
questions(1)
for silence in (3.5, 0):
    time.sleep(silence)
    upstream.sendto(b"something", ("192.0.2.3", int(sys.argv[1])))
    questions(4)
PYTHON

engine_attach --timeouts 1,3
on_client "$LAB_PYTHON" "$LAB_DIR/upstream.py" "$LAB_PORT" >"$LAB_DIR/sources" 2>"$LAB_DIR/ready" &
upstream=$!
until [ -s "$LAB_DIR/ready" ]; do sleep 0.05; done
in_group start_server asker "$LAB_PYTHON" "$LAB_DIR/asker.py" "$LAB_PORT"
wait "$upstream"
expected='192.0.2.2
192.0.2.3 192.0.2.2 192.0.2.2 192.0.2.2
192.0.2.3 192.0.2.3 192.0.2.3 192.0.2.3'
[ "$(cat "$LAB_DIR/sources")" = "$expected" ] || fail "the questions came from $(cat "$LAB_DIR/sources")"
say "ok: the questions came from $(xargs <"$LAB_DIR/sources")"
