#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The default route moves to another uplink and back. What a program has asked a peer goes on by the uplink that routing
# says, from that uplink's address, as without the shim; though the peer has answered all the time to where it was asked
# from.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

need_shim
lab_topology_b
lab_policy_rule
ip -n "$LAB_SERVER" route add default via 192.0.2.1 dev eth0 table 41
ip -n "$LAB_SERVER" rule add from 192.0.2.0/24 lookup 41
peer_port=5399

# The peer: prints where each word came from, and sends it back there.
on_client "$LAB_PYTHON" -c 'import socket, sys
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.bind((sys.argv[1], int(sys.argv[2])))
while True:
    word, source = peer.recvfrom(100)
    print(word.decode(), source[0], flush=True)
    peer.sendto(word, source)' 203.0.113.1 "$peer_port" >"$LAB_DIR/heard" 2>"$LAB_DIR/peer.log" &
disown
for ((tries = 0; tries < 400; tries++)); do
    [ "$(LAB_SERVER=$LAB_CLIENT lab_sockets_on "$peer_port")" -eq 0 ] || break
    sleep 0.05
done

# The program: sends a word for each line that it is told, and waits until it comes back.
talk() {
    on_server "$LAB_PYTHON" -c 'import socket, sys
talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talker.bind(("0.0.0.0", int(sys.argv[3])))
talker.settimeout(30)
for line in sys.stdin:
    talker.sendto(line.strip().encode(), (sys.argv[1], int(sys.argv[2])))
    talker.recvfrom(100)
    print("back", line.strip(), flush=True)' 203.0.113.1 "$peer_port" "$LAB_PORT"
}

for mode in bare shim; do
    mkfifo "$LAB_DIR/$mode-words" "$LAB_DIR/$mode-back"
    case $mode in
    bare) talk <"$LAB_DIR/$mode-words" >"$LAB_DIR/$mode-back" 2>"$LAB_DIR/$mode.log" & ;;
    shim) with_shim talk <"$LAB_DIR/$mode-words" >"$LAB_DIR/$mode-back" 2>"$LAB_DIR/$mode.log" & ;;
    esac
    exec 8>"$LAB_DIR/$mode-words" 9<"$LAB_DIR/$mode-back"
    step=0
    for uplink in '192.0.2.1 dev eth0' '198.51.100.1 dev eth1' '192.0.2.1 dev eth0'; do
        # shellcheck disable=SC2086 # a route is several words
        ip -n "$LAB_SERVER" route replace default via $uplink
        wanted=${uplink%%.1 *}.2
        for time in first second third; do
            word=$mode-$step-$time
            printf '%s\n' "$word" >&8
            read -r -t 40 _ back <&9 || fail "$mode: $word has not come back"
            [ "$back" = "$word" ] || fail "$mode: $back has come back, should be $word"
            source=$(sed -n "s/^$word //p" "$LAB_DIR/heard")
            [ "$source" = "$wanted" ] || fail "$mode, default via $uplink: sent from $source, should be $wanted"
        done
        say "ok: $mode, default via $uplink: sent from $source"
        step=$((step + 1))
    done
    exec 8>&- 9<&-
    wait $!
done
