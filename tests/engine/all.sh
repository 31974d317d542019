#!/bin/bash
# SPDX-License-Identifier: MIT
# The whole host, but for what is excepted, and the unit that attaches it at each start. With pins of this test's own, so
# that "all" is what this test has attached; only two ports, so that nobody else is served.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
[ "$(id -u)" -eq 0 ] || skip "the engine needs root"
need unshare
if [ -z "${ENGINE_ALL_INSIDE:-}" ]; then ENGINE_ALL_INSIDE=1 exec unshare --mount bash "$0"; fi
mount -t bpf bpf /sys/fs/bpf || skip "no bpf file system of the test's own"
lab_topology_b
lab_policy_rule
engine_start
units=$LAB_DIR/units
inner=$ENGINE_GROUP/excepted
mkdir "$inner"

in_group start_server -p 5391 served "$server" 5391 v4
exec 9>"$inner/cgroup.procs"
in_group start_server -p 5392 excepted "$server" 5392 v4

options=(--ports 5391-5392 "--timeouts=20,60" --peers 4096 --except "/${inner#"$(engine_tree)"/}")
"$ENGINE_TOOL" attach -j --all "${options[@]}" --persist --systemd-directory "$units" >"$LAB_DIR/attached"
"$LAB_PYTHON" "$LAB_HERE/../tools/schema.py" attach "$LAB_HERE/../../scripts/multihomectl.8" <"$LAB_DIR/attached" ||
    fail "the JSON is not what the manual states"
LAB_PORT=5391 expect_right 198.51.100.2
LAB_PORT=5392 expect_bare_wrong 198.51.100.2

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

mkdir "$units/multi-user.target.wants"
ln -s "$file" "$units/multi-user.target.wants/" # as systemctl enable does
"$ENGINE_TOOL" detach -j --all --persist --systemd-directory "$units" >"$LAB_DIR/detached"
"$LAB_PYTHON" "$LAB_HERE/../tools/schema.py" detach "$LAB_HERE/../../scripts/multihomectl.8" <"$LAB_DIR/detached" ||
    fail "the JSON is not what the manual states"
[ ! -e "$file" ] || fail "the unit is still there"
[ ! -L "$units/multi-user.target.wants/${file##*/}" ] || fail "the unit is still enabled"
LAB_PORT=5391 expect_bare_wrong 198.51.100.2
[ ! -e /sys/fs/bpf/multihome ] || fail "pins are left"
say "ok: nothing is left"
