#!/bin/bash
# SPDX-License-Identifier: MIT
#
# stats and peers say what the library has done, by port, and name a conversation; their JSON is as the manual states.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_shim
# Who asks for a port is told of all servers of the host on it, and other tests have some, too.
port=$((20000 + RANDOM % 10000))
one=$port two=$((port + 1)) three=$((port + 2)) four=$((port + 3))
lab_topology_a
with_shim start_server -p "$one" first "$TOOLS_ECHO" "$one"
with_shim start_server -p "$two" second "$TOOLS_ECHO" "$two"
for address in 192.0.2.2 192.0.2.3; do
    LAB_PORT=$one expect_right "$address" --source-port 40001
    LAB_PORT=$one expect_right "$address" --source-port 40002
done
LAB_PORT=$two expect_right 192.0.2.3 --source-port 40003
LAB_PORT=$two expect_right 192.0.2.3 --source-port 40003

first=$(server_pid first)
for subcommand in stats peers; do
    "$TOOLS_CTL" "$subcommand" -j "$first" >"$LAB_DIR/$subcommand.json"
    "$LAB_PYTHON" "$TOOLS_HERE/schema.py" "$subcommand" "$TOOLS_MANUAL" <"$LAB_DIR/$subcommand.json" ||
        fail "$subcommand: the JSON is not what the manual states"
done
"$LAB_PYTHON" - "$LAB_DIR/stats.json" "$one" <<'PYTHON' || fail "the counters are not what was asked"
import json, sys
process, = json.load(open(sys.argv[1]))["processes"]
counters = process["counters"]
assert counters["sockets"] == 1, counters
assert counters["requests"] == 4 and counters["answered"] == 4, counters
assert counters["clients"] == 2 and process["held"] == 2, process
port, = process["ports"]
assert port["port"] == int(sys.argv[2]) and port["requests"] == 4, port
PYTHON
say "ok: four requests of two clients, counted and answered"
# The number is that of /proc, also where that is not of our own namespace of processes.
if unshare --pid --fork true 2>/dev/null; then
    unshare --pid --fork "$TOOLS_CTL" stats --prometheus "$first" | grep "^multihome_answered_total{.*port=\"$one\"} 4$" >/dev/null ||
        fail "the counters are not read in another namespace of processes"
else
    say "SKIP: another namespace of processes: none can be made"
fi

"$TOOLS_CTL" peers -j --peer 203.0.113.1:40003 ":$two" >"$LAB_DIR/peers.json"
"$LAB_PYTHON" - "$LAB_DIR/peers.json" "$two" <<'PYTHON' || fail "the conversation is not the one that was asked for"
import json, sys
process, = json.load(open(sys.argv[1]))["processes"]
one, = process["conversations"]
assert (one["peer_port"], one["local_port"], one["address"], one["state"]) == (40003, int(sys.argv[2]), "192.0.2.3", "known"), one
PYTHON
say "ok: the conversation with 203.0.113.1:40003 is known at 192.0.2.3"
[ "$("$TOOLS_CTL" peers --peer 203.0.113.1 ":$two" | grep -c known)" -eq 1 ] || fail "a peer without its port is not found"
[ "$("$TOOLS_CTL" peers --peer 203.0.113.9 ":$two" | wc -l)" -eq 1 ] || fail "a peer that never asked is found"

"$TOOLS_CTL" stats --prometheus ":$two" | grep "^multihome_answered_total{.*port=\"$two\"} 2$" >/dev/null || fail "Prometheus is not told"
[ "$("$TOOLS_CTL" stats -j --watch 0.1 --count 3 ":$two" | wc -l)" -eq 3 ] || fail "three looks are not three lines"
# One who watches looks for new processes once a second at most. One that starts must appear, one that ended must go.
# In the server's namespace, so that it ends with this test, however that ends.
watch() { # TARGET...
    : >"$LAB_DIR/watch.json" # at once: else what the last one showed is taken for what this one shows
    (exec ip netns exec "$LAB_SERVER" "$TOOLS_CTL" stats -j --watch 0.1 --count 900 "$@" >"$LAB_DIR/watch.json") &
    watch=$!
}
# Waits for some looks that have the text, or have it not ("-v"). The last one may not be there as a whole.
await_looks() { # WHAT LINES-BEFORE TEXT [-v]
    local tries looks
    for ((tries = 0; tries < 300; tries++)); do
        looks=$(tail -n "+$(($2 + 1))" "$LAB_DIR/watch.json" | grep -cF ${4+"$4"} -e "$3" || true)
        [ "$looks" -lt 3 ] || return 0
        kill -0 "$watch" 2>/dev/null || fail "stats --watch ended before it showed $1"
        sleep 0.1
    done
    fail "stats --watch does not show $1"
}
lines() { wc -l <"$LAB_DIR/watch.json"; }
watch
await_looks "the server that runs already" 0 "\"pid\":$first,"
with_shim start_server -p "$three" third "$TOOLS_ECHO" "$three"
third=$(server_pid third)
await_looks "a server that started meanwhile" 0 "\"pid\":$third,"
stop_server third
await_looks "that a server ended" "$(lines)" "\"pid\":$third," -v
await_looks "the server that still runs" "$(lines)" "\"pid\":$first,"
kill "$watch"
wait "$watch" || true
say "ok: stats --watch shows a server that starts, and no longer one that ended"

watch ":$two"
await_looks "the server on a port" 0 "\"pid\":$(server_pid second),"
stop_server second
await_looks "that there is none on the port" "$(lines)" '"processes":[]'
with_shim start_server -p "$two" second "$TOOLS_ECHO" "$two"
await_looks "the next server on the port" 0 "\"pid\":$(server_pid second),"
kill "$watch"
wait "$watch" || true
say "ok: stats --watch :PORT waits for a server that is restarted"

# One that answers nobody, and more strangers than its table holds. Its log says nothing: doctor does.
MULTIHOME_PEERS=64 with_shim start_server -p "$four" silent "$LAB_PYTHON" -c '
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", int(sys.argv[1])))
while True:
    server.recvfrom(64)' "$four"
on_client "$LAB_PYTHON" -c '
import socket, sys
for number in range(2000):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x", ("192.0.2.2", int(sys.argv[1])))' "$four"
crowded=
for ((tries = 0; tries < 100; tries++)); do
    crowded=$("$TOOLS_CTL" stats --prometheus ":$four" | sed -n "s/^multihome_crowded_total{.*port=\"$four\"} //p")
    [ "${crowded:-0}" -eq 0 ] || break
    sleep 0.05
done
[ "${crowded:-0}" -gt 0 ] || fail "a table for 64 peers is not crowded"
status=0
"$TOOLS_CTL" doctor --netns "$LAB_SERVER" >"$LAB_DIR/doctor.log" || status=$?
[ "$status" -le 1 ] || fail "doctor: exit status $status"
grep -q "^Note on $four (python3[^)]*): new peers have come faster .* Raise MULTIHOME_PEERS$" "$LAB_DIR/doctor.log" ||
    fail "doctor has no note on the crowded table: $(cat "$LAB_DIR/doctor.log")"
[ ! -s "$LAB_DIR/silent.log" ] || fail "the library speaks where strangers want it to: $(cat "$LAB_DIR/silent.log")"
say "ok: doctor notes the server to which new peers have come too fast, which says nothing itself"

# A user who may not read the memory is told so.
if command -v setpriv >/dev/null; then
    status=0
    setpriv --reuid=65534 --regid=65534 --clear-groups "$TOOLS_CTL" stats "$first" >"$LAB_DIR/nobody.log" 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "exit status $status where nothing may be read"
    grep -q 'run this as root' "$LAB_DIR/nobody.log" || fail "a user who may read nothing is not told so"
    for subcommand in stats peers; do
        setpriv --reuid=65534 --regid=65534 --clear-groups "$TOOLS_CTL" "$subcommand" >"$LAB_DIR/nobody.log" 2>&1 || true
        grep -q '^No .*run this as root\|^[0-9]' "$LAB_DIR/nobody.log" || fail "$subcommand as a user: $(cat "$LAB_DIR/nobody.log")"
    done
fi
