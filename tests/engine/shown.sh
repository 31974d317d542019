#!/bin/bash
# SPDX-License-Identifier: MIT
# What the engine serves is shown: by list, stats, peers and doctor, in the form that the manual states. --ports and
# --except limit what is served, and what is said to be.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
need nsenter unshare
lab_topology_b
lab_policy_rule
engine_start
tests=$LAB_HERE/../tools
manual=$LAB_HERE/../../scripts/multihomectl.8
in_place=(nsenter "--net=/run/netns/$LAB_SERVER") # `ip netns exec` hides the tree of control groups

in_group start_server -p 5301 served "$server" 5301 v4
in_group start_server -p 5302 other "$server" 5302 v4

shown() { # NAME SUBCOMMAND [ARGUMENT...]: leaves the JSON in $LAB_DIR/NAME, and holds it against the manual
    local status=0
    "${in_place[@]}" "$ENGINE_TOOL" "$2" -j "${@:3}" >"$LAB_DIR/$1" || status=$?
    [ "$status" -le 1 ] || fail "$2: status $status"
    "$LAB_PYTHON" "$tests/schema.py" "$2" "$manual" <"$LAB_DIR/$1" || fail "$2: the JSON is not what the manual states"
}
holds() { # NAME PYTHON: of the document `it`, and of `mine`, the entry of this test's control group
    "$LAB_PYTHON" - "$LAB_DIR/$1" "${ENGINE_GROUP##*/}" "$2" <<'PYTHON' || fail "$1: not so: $2: $(cat "$LAB_DIR/$1")"
import json, sys
it = json.load(open(sys.argv[1]))
mine = [one for one in it.get("attached", it.get("engine", [])) if one["control_group"].endswith("/" + sys.argv[2])]
servers = {server["port"]: server for place in it.get("namespaces", []) for server in place["servers"]}
sys.exit(not eval(sys.argv[3]))
PYTHON
    say "ok: $1: $2"
}

# Preloading cannot reach it, and it is no unit: the engine is the way.
shown doctor_bare doctor
holds doctor_bare 'servers[5301]["verdict"] == "wrong"'
holds doctor_bare 'servers[5301]["command"].startswith("sudo multihome --engine kernel /")'

# A container has a control group of its own.
mkdir "$ENGINE_GROUP/container"
exec 9>"$ENGINE_GROUP/container/cgroup.procs"
in_group start_server -p 5303 container unshare --pid --fork --kill-child --mount-proc "$server" 5303 v4
shown doctor_container doctor
holds doctor_container 'servers[5303]["command"].startswith("sudo multihomectl attach --cgroup /")'
command=$(grep -o 'multihomectl attach --cgroup [^"]*' "$LAB_DIR/doctor_container")
# shellcheck disable=SC2086 # a command line
PATH=${ENGINE_TOOL%/*}:$PATH $command >"$LAB_DIR/said" || fail "$command: $(cat "$LAB_DIR/said")"
LAB_PORT=5303 expect_right 198.51.100.2
"$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP/container"
# What the systemd of a container calls a unit is none of the host's, which may have one of that name.
mkdir -p "$ENGINE_GROUP/container/system.slice/mhshown.service"
exec 9>"$ENGINE_GROUP/container/system.slice/mhshown.service/cgroup.procs"
in_group start_server -p 5305 in_unit unshare --pid --fork --kill-child --mount-proc "$server" 5305 v4
shown doctor_unit doctor
holds doctor_unit 'servers[5305]["command"].startswith("sudo multihomectl attach --cgroup /")'

# A control group is known by what the kernel calls it, of which a 32-bit one tells half as the number of its inode.
LD_PRELOAD=$(program half_inode.so) "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP"
engine_detach

shown attach attach --cgroup "$ENGINE_GROUP" --ports 53,5301
LAB_PORT=5301 expect_right 192.0.2.3 --source-port 40001
LAB_PORT=5301 expect_right 192.0.2.3 --source-port 40001
LAB_PORT=5301 expect_right 198.51.100.2 --source-port 40002
LAB_PORT=5302 expect_bare_wrong 198.51.100.2

shown list list
holds list 'mine[0]["alive"] and mine[0]["ports"] == "53,5301" and mine[0]["counters"]["peers"] == 2'
shown stats stats
holds stats 'mine[0]["counters"]["peers"] == 2 and mine[0]["counters"]["sources_named"] == 3'
shown stats_of_process stats "$(server_pid served)"
holds stats_of_process 'len(mine) == 1 == len(it["engine"]) and not it["processes"]'
# Not `grep -q`, which ends at what it finds, and with it the tool that has more to say.
# Its status tells of processes of other tests, too.
{ "$ENGINE_TOOL" stats --prometheus || true; } |
    grep "^multihome_engine_sources_named_total{control_group=\"/.*${ENGINE_GROUP##*/}\"} 3$" >/dev/null ||
    fail "Prometheus is not told"
{ "$ENGINE_TOOL" stats || true; } | grep -E "${ENGINE_GROUP##*/} +2 +3 " >/dev/null || fail "the table does not show the engine"
# What is left of a control group that is gone has the path of the one that followed it, and is no second series.
mkdir "$ENGINE_GROUP/again"
"$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP/again"
rmdir "$ENGINE_GROUP/again"
mkdir "$ENGINE_GROUP/again"
"$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP/again"
{ "$ENGINE_TOOL" stats --prometheus || true; } | grep "/${ENGINE_GROUP##*/}/again\"" >"$LAB_DIR/series" || fail "no series of its own"
[ -z "$(sed 's/ [0-9]*$//' "$LAB_DIR/series" | sort | uniq -d)" ] || fail "series that are there twice: $(cat "$LAB_DIR/series")"
shown list_again list
holds list_again 'sorted(one["alive"] for one in it["attached"] if one["control_group"].endswith(sys.argv[2] + "/again")) == [False, True]'
"$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP/again"
shown peers peers :5301
holds peers '{one["state"] for one in mine[0]["conversations"]} == {"known", "question"}'
holds peers 'all(one["local_port"] == 5301 and one["peer_port"] is None for one in mine[0]["conversations"])'
# A number that is a process which nobody serves is a port.
if [ "$$" -le 65535 ]; then
    shown peers_of_number peers "$$"
    holds peers_of_number 'len(mine) == 1 and not mine[0]["conversations"]'
fi
shown peers_of_one peers --peer 203.0.113.1:40001
holds peers_of_one '[(one["peer_port"], one["address"], one["state"]) for one in mine[0]["conversations"]] == [(40001, "192.0.2.3", "known")]'
shown doctor doctor
holds doctor 'servers[5301]["verdict"] == "ok" and servers[5301]["reason"] == "the kernel engine is attached"'
holds doctor 'servers[5302]["verdict"] == "wrong"'
# Also where another /sys is in front of the pins, as `ip netns exec` puts it.
there=("${in_place[@]}")
in_place=(ip netns exec "$LAB_SERVER")
shown list_elsewhere list
holds list_elsewhere 'mine[0]["alive"] and len(mine[0]["hooks"]) > 4 and mine[0]["counters"]["sources_named"] == 3'
shown doctor_elsewhere doctor
holds doctor_elsewhere 'servers[5301]["verdict"] == "ok" and servers[5302]["verdict"] == "wrong"'
in_place=("${there[@]}")
# What is attached there stays when the command has ended, which takes its mounts with it.
mkdir "$ENGINE_GROUP/below"
path=${ENGINE_GROUP#"$(engine_tree)"}/below
# Also where who has called it is of another namespace of processes, that of /proc.
for caller in env 'unshare --pid --fork'; do
    # shellcheck disable=SC2086,SC2016 # words; for the inner shell
    $caller ip netns exec "$LAB_SERVER" sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' sh "$ENGINE_TOOL" attach -q --cgroup "$path"
    shown list_of_two list
    holds list_of_two '[one["alive"] for one in it["attached"] if one["control_group"].endswith(sys.argv[2] + "/below")] == [True]'
    "$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP/below"
done
# There a unit is known by what `list` shows; a path is not.
unit=mhshown-${ENGINE_GROUP##*/}.service
mkdir "$ENGINE_GROUP/$unit"
"$ENGINE_TOOL" attach -q "$unit"
expect_detach() { # STATUS SAID ARGUMENT...
    local status=0 said
    said=$(ip netns exec "$LAB_SERVER" "$ENGINE_TOOL" detach "${@:3}" 2>&1) || status=$?
    [[ $status == "$1" && $said == *"$2"* ]] || fail "detach ${*:3}, behind ip netns exec: status $status: $said"
    say "ok: detach ${*:3}, behind ip netns exec: $said"
}
expect_detach 2 'no control groups of version 2 are mounted here' --cgroup "${path%/*}/$unit"
expect_detach 0 'detached from ' "$unit"
shown detach detach --cgroup "$ENGINE_GROUP"
holds detach 'len(it["detached"]) == 1 and it["removed"] is None'

# Who asks where it has not been known before, after the program spoke first and there was silence, is not moving.
engine_attach --timeouts 1,1
in_group start_server -p 5304 speaker "$LAB_PYTHON" -c '
import socket, time
speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
speaker.bind(("", 5304))
speaker.sendto(b"we speak first", ("203.0.113.1", 40003))
time.sleep(1000)'
shown peers_spoken_to peers :5304
holds peers_spoken_to '[one["state"] for one in mine[0]["conversations"]] == ["spoke-first"]'
sleep 1.5
LAB_PORT=5304 expect_silence 192.0.2.3 --source-port 40003
shown peers_asked peers :5304
holds peers_asked '[(one["state"], one["address"], one["asked_last"]) for one in mine[0]["conversations"]] == [("question", "192.0.2.3", None)]'
