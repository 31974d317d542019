#!/bin/bash
# SPDX-License-Identifier: MIT
# attach, a million requests, detach: all answers are right, and no program, map, link, pin, rule, route or control group
# is left. ENGINE_REQUESTS is another number.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
requests=${ENGINE_REQUESTS:-1000000}
server=$(program echo_static) || { say "$server" && exit 77; }
client=$(program ask_many) || { say "$client" && exit 77; }
lab_topology_b
lab_policy_rule
engine_start
need bpftool
identity=$(stat -c %i "$ENGINE_GROUP")
pins=/sys/fs/bpf/multihome
addresses=("${ENGINE_V4[@]}")
[ ! -e /proc/sys/net/ipv6 ] || addresses+=("${ENGINE_V6[@]}")

# The kernel's numbers of all that this attachment consists of. Tests run side by side, so others' do not count.
parts() {
    "$LAB_PYTHON" - "$ENGINE_GROUP" "$identity" <<'PYTHON'
import json, subprocess, sys
def ask(*words):
    return json.loads(subprocess.run(["bpftool", "-j", *words], check=True, capture_output=True).stdout or "[]")
maps = set()
for one in ask("cgroup", "show", sys.argv[1]):
    print("prog", one["id"])
    maps.update(ask("prog", "show", "id", str(one["id"])).get("map_ids", []))
for number in sorted(maps):
    print("map", number)
for link in ask("link", "show"):
    if str(link.get("cgroup_id")) == sys.argv[2]:
        print("link", link["id"])
PYTHON
}
left() {
    local kind number
    while read -r kind number; do
        ! bpftool "$kind" show id "$number" >/dev/null 2>&1 || printf '%s %s, ' "$kind" "$number"
    done <"$LAB_DIR/parts"
    find "$pins" -maxdepth 1 -name "*$identity" 2>/dev/null || true
}
# What a router or a timer changes by itself is none of the engine's.
network() {
    local where
    for where in "" "-n $LAB_SERVER"; do
        for family in -4 -6; do
            # shellcheck disable=SC2086 # two words
            { ip $where $family rule && ip $where $family route show table all; } | sed 's/ expires [0-9]*sec//'
        done
    done
}
groups() { find "$ENGINE_GROUP" -type d; }

in_group start_server server "$server" "$LAB_PORT" dual
ask_many() { # REQUESTS: sets `answered` and `right`
    read -r answered right < <(on_client "$client" "$LAB_PORT" "$1" "${addresses[@]}")
}
ask_many 600
[ "$right" -lt "$answered" ] || fail "all answers are right without the engine, so this shows nothing"
network >"$LAB_DIR/network"
groups >"$LAB_DIR/groups"
engine_attach
parts >"$LAB_DIR/parts"
for kind in prog map link; do
    grep "^$kind " "$LAB_DIR/parts" >/dev/null || fail "nothing is attached: no $kind"
done
ask_many "$requests"
if [ "$answered" -ne "$requests" ] || [ "$right" -ne "$requests" ]; then
    fail "of $requests requests $answered were answered, $right from the address that was asked"
fi
[ "$(counter sources_named)" -ge "$requests" ] || fail "the engine has not served them"
engine_detach
# The kernel frees a link's program, and a program's maps, a moment after their last holder is gone.
for ((tries = 0; tries < 100; tries++)); do
    found=$(left)
    [ -n "$found" ] || break
    sleep 0.05
done
[ -z "$found" ] || fail "left: $found"
network | cmp -s - "$LAB_DIR/network" || fail "rules or routes are left: $(network | diff "$LAB_DIR/network" -)"
groups | cmp -s - "$LAB_DIR/groups" || fail "control groups are left: $(groups)"
say "ok: $requests requests over ${#addresses[@]} addresses, all right; of $(wc -l <"$LAB_DIR/parts") parts none is left"
ask_many 600
[ "$right" -lt "$answered" ] || fail "answers are right after detach: something serves on"
