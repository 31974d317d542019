#!/bin/bash
# SPDX-License-Identifier: MIT
# attach UNIT finds the unit's control group, --persist writes what attaches it at each start, and detach --persist
# removes that. --ports limits what is served.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
lab_topology_b
engine_start
units=$LAB_DIR/units
# A unit's control group, inside the test's, which is removed with all that is in it.
unit=mhunit-${ENGINE_GROUP##*/}.service
mkdir "$ENGINE_GROUP/$unit"
in_group start_server -p 5301 server "$server" 5301 v4
in_group start_server -p 5302 other "$server" 5302 v4
# Where the file cannot be written, nothing is done, and why is said.
status=0
said=$("$ENGINE_TOOL" attach "$unit" --persist --systemd-directory /proc/nowhere 2>&1) || status=$?
[[ $status-$said == 2-*': /proc/nowhere/'*': No such file or directory' ]] || fail "status $status: $said"
if { "$ENGINE_TOOL" list || true; } | grep "/$unit *attached" >/dev/null; then fail "it stays attached"; fi
# Nor where somebody else has a file of that name; detach leaves it, too.
file=$units/$unit.d/multihome-engine.conf
mkdir -p "${file%/*}"
echo '# mine' >"$file"
for command in attach detach; do
    status=0
    said=$("$ENGINE_TOOL" "$command" "$unit" --persist --systemd-directory "$units" 2>&1) || status=$?
    [[ $status-$said == 2-*'did not write this file'* ]] || fail "status $status: $said"
    [ "$(cat "$file")" = '# mine' ] || fail "$command: somebody else's file has changed"
done
rm "$file"
# Slices and scopes start nothing, and systemd passes over a [Service] of theirs. One that is there can be removed.
for kind in slice scope; do
    other=mhunit-${ENGINE_GROUP##*/}.$kind
    mkdir "$ENGINE_GROUP/$other"
    status=0
    said=$("$ENGINE_TOOL" attach "$other" --persist --systemd-directory "$units" 2>&1) || status=$?
    [[ $status-$said == 2-*'starts no program'* ]] || fail "$other: status $status: $said"
    if { "$ENGINE_TOOL" list || true; } | grep "/$other *attached" >/dev/null; then fail "$other: it is attached"; fi
    [ ! -e "$units/$other.d" ] || fail "$other: a drop-in is written"
done
mkdir -p "$units/$other.d"
echo "# Written by 'multihomectl attach --persist'; " >"$units/$other.d/multihome-engine.conf"
"$ENGINE_TOOL" detach -q "$other" --persist --systemd-directory "$units" || true # nothing was attached
[ ! -e "$units/$other.d" ] || fail "$other: the drop-in is still there"
"$ENGINE_TOOL" attach "${unit%.service}" --ports 53,5300-5301 --persist --systemd-directory "$units" >"$LAB_DIR/said"
grep -q "^ExecStartPre=-+/.* attach --quiet --ports 53,5300-5301 .*%n$" "$file" || fail "the drop-in: $(cat "$file")"
grep -q "^ExecStopPost=-+/.* detach --quiet %n$" "$file" || fail "the drop-in: $(cat "$file")"
{ "$ENGINE_TOOL" list || true; } | grep "/$unit *attached" >/dev/null || fail "list does not show the unit"
# A stopped unit has no control group; its name still finds what was attached to it.
rmdir "$ENGINE_GROUP/$unit"
"$ENGINE_TOOL" detach -q "$unit" --persist --systemd-directory "$units" || fail "detach UNIT, stopped"
[ ! -e "$file" ] || fail "the drop-in is still there"
# Also where the path of its control group is longer than what the kernel engine notes of it.
long=$ENGINE_GROUP/$(printf 'x%.0s' {1..240})
mkdir -p "$long/$unit"
"$ENGINE_TOOL" attach -q "$unit" || fail "attach UNIT, far down"
"$ENGINE_TOOL" detach -q "$unit" || fail "detach UNIT, far down"
# Or where an earlier multihomectl has attached the engine, and noted what this one cannot read.
if command -v bpftool >/dev/null; then
    rmdir "$long/$unit"
    mkdir "$ENGINE_GROUP/$unit"
    "$ENGINE_TOOL" attach -q "$unit" || fail "attach UNIT"
    "$LAB_PYTHON" - "/sys/fs/bpf/multihome/$(stat -c %i "$ENGINE_GROUP/$unit")/about" <<'PYTHON' || fail "no version to change"
import json, subprocess, sys
first = ["pinned", sys.argv[1], "key", "0", "0", "0", "0"]
said = subprocess.run(["bpftool", "-j", "map", "lookup", *first], check=True, capture_output=True).stdout
record = json.loads(said)["value"]
record[0] = "0x02"
subprocess.run(["bpftool", "map", "update", *first, "value", *record], check=True)
PYTHON
    { "$ENGINE_TOOL" list || true; } | grep "/$unit *attached" >/dev/null || fail "list does not show an earlier version's"
    "$ENGINE_TOOL" peers -q "$unit" || fail "peers, of an earlier version's"
    "$ENGINE_TOOL" detach -q "$unit" || fail "detach UNIT, of an earlier version's"
fi
say "ok: a unit"

# A container, or a user, may have a unit of the same name: the host's is meant.
need unshare
# shellcheck disable=SC2016 # for the inner shell
as_host() { unshare --mount sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$ENGINE_GROUP" "$(engine_tree)" "$@"; }
find "$ENGINE_GROUP" -depth -type d -name "$unit" -exec rmdir {} +
container=/machine.slice/c.scope/system.slice/$unit
mkdir -p "$ENGINE_GROUP/system.slice/$unit" "$ENGINE_GROUP$container"
said=$(as_host "$ENGINE_TOOL" attach "$unit" 2>&1) || fail "attach UNIT, which a container has, too: $said"
[[ $said == "attached to /system.slice/$unit"* ]] || fail "attach UNIT, which a container has, too: $said"
as_host "$ENGINE_TOOL" attach -q --cgroup "$container"
said=$(as_host "$ENGINE_TOOL" detach "$unit") || fail "detach UNIT, which a container has, too: $said"
[ "$said" = "detached from /system.slice/$unit" ] || fail "detach UNIT, which a container has, too: $said"
# Without one of the host's, who is meant is known all the same.
rmdir "$ENGINE_GROUP/system.slice/$unit"
said=$(as_host "$ENGINE_TOOL" detach "$unit") || fail "detach UNIT of a container: $said"
[ "$said" = "detached from $container" ] || fail "detach UNIT of a container: $said"
say "ok: a unit that a container has, too"

engine_attach --ports 53,5300-5301
LAB_PORT=5302 expect_bare_wrong 192.0.2.3
LAB_PORT=5301 expect_right 192.0.2.3
