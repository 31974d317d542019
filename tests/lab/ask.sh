#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `multihomectl ask` from the client's machine: every payload against a server of that protocol, bare and with the shim;
# real servers where they are installed. Then what else it says: silence, refusal, JSON, wrong arguments.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=unbound.sh
. "$(dirname "${BASH_SOURCE[0]}")/unbound.sh"

need_shim
lab_topology_a
tried=0

asked() { # STATUS OPTION...: what ask has to exit with
    local wanted=$1 status=0
    shift
    on_client "$MULTIHOMECTL" ask 192.0.2.2 192.0.2.3 --timeout 1 "$@" >"$LAB_DIR/said" 2>&1 || status=$?
    [ "$status" -eq "$wanted" ] || fail "ask $* exits with $status, should be $wanted: $(cat "$LAB_DIR/said")"
}

says() { # PATTERN
    grep -q -e "$1" "$LAB_DIR/said" || fail "ask does not say '$1': $(cat "$LAB_DIR/said")"
}

# payload NAME PORT BARE COMMAND...: BARE is wrong, or right where the server needs no help.
payload() {
    local name=$1 port=$2 bare=$3
    shift 3
    start_server -p "$port" bare "$@"
    asked "$([ "$bare" = wrong ] && echo 1 || echo 0)" --payload "$name" --port "$port"
    says '^192\.0\.2\.2 .* ok$'
    [ "$bare" = right ] || says '^192\.0\.2\.3  *192\.0\.2\.2  *192\.0\.2\.2  *192\.0\.2\.2  *WRONG$'
    stop_server bare
    with_shim start_server -p "$port" shim "$@"
    asked 0 --payload "$name" --port "$port"
    says '^192\.0\.2\.3  *192\.0\.2\.3  *192\.0\.2\.3  *192\.0\.2\.3  *ok$'
    stop_server shim
    tried=$((tried + 1))
    say "ok: $name on port $port, bare $bare, right with the shim (${1##*/})"
}

payload echo "$LAB_PORT" wrong "${LAB_ECHO[@]}"
for name in ntp:123 radius:1812 sip:5060 quic:443; do
    payload "${name%:*}" "${name#*:}" wrong "$LAB_PYTHON" "$LAB_HERE/protocol_server.py" "${name%:*}" "${name#*:}"
done
if command -v memcached >/dev/null; then payload memcached 11211 wrong memcached -u root -t 1 -p 0 -U 11211; fi
if command -v unbound >/dev/null; then
    { unbound_settings "$LAB_DIR" 53 && echo '    interface: 0.0.0.0'; } >"$LAB_DIR/unbound.conf"
    payload dns 53 wrong "$(unconfined unbound)" -c "$LAB_DIR/unbound.conf"
fi
if command -v turnserver >/dev/null; then
    payload stun 3478 wrong turnserver -n -L0.0.0.0 -p 3478 --no-tcp --no-tls --no-dtls --no-cli --no-rfc5780 \
        --userdb "$LAB_DIR/db" --pidfile "$LAB_DIR/pid" --log-file stdout
fi
if command -v snmpd >/dev/null; then
    echo 'rocommunity public' >"$LAB_DIR/snmpd.conf"
    payload snmp 161 right env MIBS= SNMP_PERSISTENT_DIR="$LAB_DIR" SNMPCONFPATH="$LAB_DIR" \
        snmpd -f -Lo -I -smux -C -c "$LAB_DIR/snmpd.conf" udp:161
fi
if in.tftpd --version 2>/dev/null | grep -q tftp-hpa; then
    # It asks for packet information too late for the very first request, hence the one before.
    start_server -p 69 bare in.tftpd -L --user nobody --secure --address 0.0.0.0:69 -4 "$LAB_DIR"
    on_client "$MULTIHOMECTL" ask 192.0.2.2 --port 69 >/dev/null || fail "tftp: no answer"
    asked 0 --payload tftp --port tftp
    stop_server bare
    tried=$((tried + 1))
    say "ok: tftp, whose answers come from ports of their own"
fi
say "$tried payloads tried"

start_server bare "${LAB_ECHO[@]}"
asked 1 --text hello --port "$LAB_PORT"
says '^192\.0\.2\.3  *192\.0\.2\.2  *192\.0\.2\.2  *192\.0\.2\.2  *WRONG$'
asked 1 --hex '00 01 ff' --port "$LAB_PORT"
asked 1 --payload echo --port "$LAB_PORT" -j
schema=("$LAB_PYTHON" "$LAB_HERE/../tools/schema.py")
manual=$LAB_HERE/../../scripts/multihomectl.8
"${schema[@]}" ask "$manual" <"$LAB_DIR/said" || fail "the JSON of ask is not what the manual states"
on_server "$MULTIHOMECTL" recipe one-interface -j >"$LAB_DIR/recipe" || fail "recipe -j exits with $?"
"${schema[@]}" recipe "$manual" <"$LAB_DIR/recipe" || fail "the JSON of recipe is not what the manual states"
on_client "$LAB_PYTHON" - "$LAB_DIR/said" <<'CHECK'
import json, sys
document = json.load(open(sys.argv[1]))
assert list(document) == ["version", "port", "payload", "addresses"], list(document)
assert document["version"] == 1 and document["port"] == 5300 and document["payload"] == "echo"
first, second = document["addresses"]
assert list(first) == ["address", "local", "verdict", "own_port", "one_port", "at_once"], list(first)
right = {"verdict": "ok", "from": "192.0.2.2", "port": 5300}
assert first == {"address": "192.0.2.2", "local": False, "verdict": "ok", "own_port": right, "one_port": right,
                 "at_once": right}, first
wrong = dict(right, verdict="wrong")
assert second["verdict"] == "wrong" and second["own_port"] == second["one_port"] == second["at_once"] == wrong, second
CHECK
asked 1 --payload echo --port "$LAB_PORT" -q
[ ! -s "$LAB_DIR/said" ] || fail "-q is not quiet"
# The address that is right, alone; the server's own machine proves nothing.
on_client "$MULTIHOMECTL" ask 192.0.2.2 -p "$LAB_PORT" --payload echo || fail "one right address: $?"
on_server "$MULTIHOMECTL" ask 192.0.2.3 -p "$LAB_PORT" --payload echo >"$LAB_DIR/said" 2>&1 || true
says 'is an address of this host'
# Another protocol's answer is none, and a closed port says so.
on_client "$MULTIHOMECTL" ask 192.0.2.2 -p "$LAB_PORT" --payload stun --timeout 0.2 >"$LAB_DIR/said" && fail "stun: $?"
says '^192\.0\.2\.2  *silent .* silent$'
on_client "$MULTIHOMECTL" ask 192.0.2.2 192.0.2.99 --port 9 --payload echo --timeout 0.2 >"$LAB_DIR/said" && fail "9: $?"
says '^192\.0\.2\.2  *refused .* refused$'
says ' refused: no server listens at that port there'
says '^192\.0\.2\.99  *\(silent\|refused\) .*'
stop_server bare

# What RADIUS repeats is one byte: of 100 questions at once, some have the same. Each answer is the one of its address.
many=()
for ((i = 100; i < 200; i++)); do many+=("192.0.2.$i"); done
printf 'address add %s/24 dev eth0\n' "${many[@]}" | ip -n "$LAB_SERVER" -batch -
start_server -p 1812 backwards "$LAB_PYTHON" "$LAB_HERE/protocol_server.py" radius 1812 backwards
for ((tries = 0; tries < 5; tries++)); do
    on_client "$MULTIHOMECTL" ask "${many[@]}" --payload radius >"$LAB_DIR/said" ||
        fail "radius at 100 addresses: $(grep -v ' ok$' "$LAB_DIR/said")"
    # Where the machine is busy, each question may have come alone.
    most=$(tail -n 1 "$(log_of backwards)")
    [ "$most" -lt 2 ] || break
done
[ "$most" -ge 2 ] || fail "radius: no two questions were waiting at once"
say "ok: radius at 100 addresses, answered in another order, up to $most at once"
stop_server backwards

# Wrong arguments: status 2, one clear line, and nothing else.
wrong() {
    local status=0
    on_client "$MULTIHOMECTL" "$@" >"$LAB_DIR/said" 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "$* exits with $status, should be 2: $(cat "$LAB_DIR/said")"
    says '^multihomectl: '
}
wrong ask
wrong ask 192.0.2.2
wrong ask '' --port 53
wrong ask 192.0.2.2 --port 5300
wrong ask no-such-host.invalid --port 53
wrong ask 192.0.2.256 --port 53
for port in '' 0 65536 99999999999 -1 1x no-such-service; do wrong ask 192.0.2.2 --port "$port" --payload dns; done
for hex in 0 0g 'xx' '0x00'; do wrong ask 192.0.2.2 --port 53 --hex "$hex"; done
wrong ask 192.0.2.2 --payload none
for option in --hex --text; do
    wrong ask 192.0.2.2 "$option" 00
    says "name the server's --port"
done
wrong ask 192.0.2.2 --port 53 --hex 00 --text a
wrong ask 192.0.2.2 --port 53 --tries 0
wrong ask 192.0.2.2 --port 53 --timeout never
wrong ask 192.0.2.2 --port 53 --timeout 1e99
for arguments in '' none 'routing --apply --undo' 'routing --format xml' 'routing --interface none' \
    'routing --gateway 203.0.113.9' 'routing --gateway none' 'routing --port 0' 'routing --port 65536' \
    'routing --unknown' 'two-interfaces' 'one-interface two-interfaces' \
    'routing --port 53' 'one-interface --gateway 192.0.2.2'; do
    # shellcheck disable=SC2086 # words of a command line
    wrong recipe $arguments
done
rules=$(on_client nft list ruleset 2>&1; on_client ip rule)
for ((i = 0; i < 20; i++)); do
    word=$(head -c $((RANDOM % 40 + 1)) /dev/urandom | tr -d '\0\n/')
    for subcommand in "ask 192.0.2.2 --payload" "ask 192.0.2.2 --port" "ask --port 53 --hex" recipe \
        "recipe routing --gateway" "recipe routing --interface" "recipe routing --port"; do
        # shellcheck disable=SC2086 # words of a command line
        wrong $subcommand "=$word"
    done
done
[ "$rules" = "$(on_client nft list ruleset 2>&1; on_client ip rule)" ] || fail "wrong arguments changed the host"
