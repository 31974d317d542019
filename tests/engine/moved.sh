#!/bin/bash
# SPDX-License-Identifier: MIT
# A socket is served by where it was made: doctor says so of a process that was moved from one control group to another.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
need nsenter
lab_topology_b
lab_policy_rule
engine_start
served=$ENGINE_GROUP/served other=$ENGINE_GROUP/other
mkdir "$served" "$other"

start_in() { # GROUP NAME PORT
    exec 9>"$1/cgroup.procs"
    in_group start_server -p "$3" "$2" "$server" "$3" v4
}
doctor() { # PORT: its verdict and reason. It ends with 1, as it has found something wrong.
    # `ip netns exec` would hide the tree of control groups.
    { nsenter "--net=/run/netns/$LAB_SERVER" "$ENGINE_TOOL" doctor -j || true; } | "$LAB_PYTHON" -c '
import json, sys
for server in json.load(sys.stdin)["namespaces"][0]["servers"]:
    if server["port"] == int(sys.argv[1]):
        print(server["verdict"], server["reason"])' "$1"
}
expect_doctor() { # PORT VERDICT PATTERN
    local said
    said=$(doctor "$1")
    # shellcheck disable=SC2053 # a pattern
    [[ ${said%% *} = "$2" && ${said#* } == $3 ]] || fail "doctor says of port $1: $said; expected: $2 $3"
    say "ok: doctor says of port $1: $said"
}

start_in "$served" stays 5301
start_in "$served" leaves 5302
start_in "$other" comes 5303
"$ENGINE_TOOL" attach -q --cgroup "$served"
printf '%s' "$(server_pid leaves)" >"$other/cgroup.procs"
printf '%s' "$(server_pid comes)" >"$served/cgroup.procs"

for port in 5301 5302; do
    LAB_PORT=$port expect_right 198.51.100.2
    expect_doctor "$port" ok "the kernel engine is attached"
done
LAB_PORT=5303 expect_bare_wrong 198.51.100.2
expect_doctor 5303 wrong "its socket was made in the control group */other, where the engine is not"

# A socket outlives the control group in which it was made.
printf '%s' "$(server_pid leaves)" >"$ENGINE_GROUP/cgroup.procs"
rmdir "$other"
expect_doctor 5303 wrong "its socket was made outside of its control group"
"$ENGINE_TOOL" detach -q --cgroup "$served"
expect_doctor 5302 wrong ""
