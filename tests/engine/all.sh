#!/bin/bash
# SPDX-License-Identifier: MIT
# The whole host, but for a service that is excepted, also after its restart; and the unit that attaches it at each start.
# With pins of this test's own, so that "all" is what this test has attached; only two ports, so that nobody else is served.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
[ "$(id -u)" -eq 0 ] || skip "the engine needs root"
need flock nsenter unshare
if [ -z "${ENGINE_ALL_INSIDE:-}" ]; then ENGINE_ALL_INSIDE=1 exec unshare --mount bash "$0"; fi
mount -t bpf bpf /sys/fs/bpf || skip "no bpf file system of the test's own"
# The whole host is one: another run that comes here meanwhile waits.
tree=$(engine_tree)
# The servers of a run that was killed hold the lock, and what was attached, in a mount namespace of their own.
[ -z "$tree" ] || { engine_sweep "$tree" && exec 8<"$tree" && flock 8; }
lab_topology_b
lab_policy_rule
engine_start
units=$LAB_DIR/units
unit=mhexcept-${ENGINE_GROUP##*/}.service
inner=$ENGINE_GROUP/$unit

start_excepted() { # [COMMAND...]: as systemd does: a control group, ExecStartPre=, the program
    mkdir "$inner"
    "$@"
    exec 9>"$inner/cgroup.procs"
    in_group start_server -p 5392 excepted "$server" 5392 v4
}
stop_excepted() {
    stop_server excepted
    rmdir "$inner"
}
expect_served() { LAB_PORT=$1 expect_right 198.51.100.2 && expect_verdict "$1" ok; }
expect_not_served() { LAB_PORT=$1 expect_bare_wrong 198.51.100.2 && expect_verdict "$1" wrong; }
refused() { # TEXT COMMAND...
    local status=0 said
    said=$("${@:2}" 2>&1) || status=$?
    [[ $status-$said == 2-*"$1"* ]] || fail "${*:2}: status $status: $said"
    say "ok: $said"
}

in_group start_server -p 5391 served "$server" 5391 v4
start_excepted

options=(--ports 5391-5392 "--timeouts=20,60" --peers 4096 --except "$unit")
"$ENGINE_TOOL" attach -j --all "${options[@]}" --persist --systemd-directory "$units" >"$LAB_DIR/attached"
"$LAB_PYTHON" "$LAB_HERE/../tools/schema.py" attach "$LAB_HERE/../../scripts/multihomectl.8" <"$LAB_DIR/attached" ||
    fail "the JSON is not what the manual states"
expect_served 5391
expect_not_served 5392
# A container that shares the pins is a part of the whole host.
# shellcheck disable=SC2016 # for the inner shell
expect_verdict 5391 ok sh -c 'echo $$ >"$0/cgroup.procs" && exec unshare --cgroup --mount sh -c "$@"' "$ENGINE_GROUP" \
    'umount -l "$0" && mount -t cgroup2 none "$0" && exec "$@"' "$tree"

file=$units/multihome-engine.service
# The unit does what was just done: its line, run without systemd.
line=$(sed -n 's/^ExecStart=//p' "$file")
[ "$(sed -n 's/^ExecStop=//p' "$file")" = "$(realpath "$ENGINE_TOOL") detach --quiet --cgroup /" ] || fail "the unit: $(cat "$file")"
"$ENGINE_TOOL" list -j >"$LAB_DIR/first"
"$ENGINE_TOOL" detach -q --cgroup /
LAB_PORT=5391 expect_bare_wrong 198.51.100.2
$line
LAB_PORT=5391 expect_right 198.51.100.2
LAB_PORT=5392 expect_bare_wrong 198.51.100.2
settings() {
    "$LAB_PYTHON" -c 'import json, sys; one, = json.load(sys.stdin)["attached"]; print(one["control_group"], one["ports"], one["except"])'
}
[ "$("$ENGINE_TOOL" list -j | settings)" = "$(settings <"$LAB_DIR/first")" ] || fail "the unit attaches something else"
say "ok: the unit attaches the same"

# A service that starts again has another control group; its drop-in has that excepted, too.
drop_in=$units/$unit.d/multihome-engine-except.conf
read -ra renew <<<"$(sed -n "s/%n/$unit/; s/^ExecStartPre=-+//p" "$drop_in")"
stop_excepted
start_excepted
expect_served 5392
stop_excepted
start_excepted "${renew[@]}"
expect_not_served 5392
refused 'not attached to the whole host but for' "$ENGINE_TOOL" attach --all --renew --except "${ENGINE_GROUP#"$(engine_tree)"}"
# One of the same name is not the same, as long as the one that is excepted is there.
mkdir -p "$ENGINE_GROUP/other/$unit"
refused 'not attached to the whole host but for' \
    "$ENGINE_TOOL" attach --all --renew --except "${ENGINE_GROUP#"$(engine_tree)"}/other/$unit"
expect_not_served 5392
rmdir "$ENGINE_GROUP/other/$unit"

# In a container, whose control groups lie below others of the host's.
"$ENGINE_TOOL" detach -q --cgroup /
# shellcheck disable=SC2016 # for the inner shell
unshare --mount sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$ENGINE_GROUP" "$(engine_tree)" \
    "$ENGINE_TOOL" attach -q --all --ports 5391-5392 --except "$unit"
LAB_PORT=5391 expect_right 198.51.100.2
LAB_PORT=5392 expect_bare_wrong 198.51.100.2
"$ENGINE_TOOL" detach -q --cgroup "$ENGINE_GROUP"
$line

# At a start of the host it is not there yet.
stop_excepted
"$ENGINE_TOOL" detach -q --cgroup /
refused 'not attached to the whole host but for' "$ENGINE_TOOL" attach --all --renew --except "${ENGINE_GROUP#"$(engine_tree)"}"
$line
expect_served 5391
start_excepted "${renew[@]}"
expect_not_served 5392
expect_served 5391

# What nothing would except again is not promised; a slice stays as long as the host runs.
for name in "${unit%.service}.scope" "${inner#"$(engine_tree)"}"; do
    refused 'needs the name of a service or a slice' \
        "$ENGINE_TOOL" attach --all --except "$name" --persist --systemd-directory "$LAB_DIR/others"
done
"$ENGINE_TOOL" detach -q --cgroup /
said=$("$ENGINE_TOOL" attach --all --ports 5391 --except "${unit%.service}.slice" --persist --systemd-directory "$units")
[[ $said == *"${unit%.service}.slice does not run: it is served when it starts, until --renew"* ]] || fail "a unit that does not run: $said"
[ ! -e "$drop_in" ] || fail "the drop-in of an exception that is none any more is still there"
for setting in Wants=network-pre.target After=sys-fs-bpf.mount; do
    grep -q "^$setting.* ${unit%.service}.slice$" "$file" || fail "the unit does not wait for the slice: $(cat "$file")"
done
"$ENGINE_TOOL" detach -q --cgroup /
"$ENGINE_TOOL" attach -q --all "${options[@]}" --persist --systemd-directory "$units"

mkdir "$units/multi-user.target.wants"
ln -s "$file" "$units/multi-user.target.wants/" # as systemctl enable does
"$ENGINE_TOOL" detach -j --all --persist --systemd-directory "$units" >"$LAB_DIR/detached"
"$LAB_PYTHON" "$LAB_HERE/../tools/schema.py" detach "$LAB_HERE/../../scripts/multihomectl.8" <"$LAB_DIR/detached" ||
    fail "the JSON is not what the manual states"
[ ! -e "$file" ] || fail "the unit is still there"
[ ! -e "${drop_in%/*}" ] || fail "the drop-in is still there"
[ ! -L "$units/multi-user.target.wants/${file##*/}" ] || fail "the unit is still enabled"
LAB_PORT=5391 expect_bare_wrong 198.51.100.2
[ ! -e /sys/fs/bpf/multihome ] || fail "pins are left"
say "ok: nothing is left"
