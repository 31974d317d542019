#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A second uplink: doctor says that its address has no rule, and that a strict rp_filter drops its requests; and is silent
# once the rule is there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need setpriv
lab_topology_b

# Prints "ADDRESS LEAVES_BY REQUESTS_DROPPED CERTAIN" for each fault.
faults() {
    { "$TOOLS_CTL" doctor -j --netns "$LAB_SERVER" || true; } | "$LAB_PYTHON" -c '
import json, sys
for fault in json.load(sys.stdin)["namespaces"][0]["routing"]:
    print(fault["address"], fault["leaves_by"], fault["requests_dropped"], fault["certain"])'
}
expect_faults() {
    local found
    found=$(faults | sort)
    [ "$found" = "$1" ] || fail "routing: '$found' instead of '$1'"
    say "ok: ${1:-nothing to say}"
}
six=
[ ! -e /proc/sys/net/ipv6 ] || six=$'\n''2001:db8:2::2 eth0 False False'
expect_faults "198.51.100.2 eth0 True False$six"
rp_filter 0 eth1
expect_faults "198.51.100.2 eth0 False False$six"
"$TOOLS_CTL" doctor -q --netns "$LAB_SERVER" || fail "what may be no uplink at all is no fault"
# A gateway on eth1: it is an uplink.
ip -n "$LAB_SERVER" route add 203.0.113.128/25 via 198.51.100.1 dev eth1
expect_faults "198.51.100.2 eth0 False True${six/%False/True}"
status=0
"$TOOLS_CTL" doctor -q --netns "$LAB_SERVER" || status=$?
[ "$status" -eq 1 ] || fail "exit status $status with an uplink that lacks its rule"
lab_policy_rule
expect_faults ''
"$TOOLS_CTL" doctor -q --netns "$LAB_SERVER" || fail "a fault is left after the rule"

# Where only a recipe helps, it is one that does not refuse: of two interfaces with addresses, the second is an uplink where
# some routing table has its router. In the root control group, because in another one the kernel engine is the way.
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
if [ -n "$tree" ] && { exec 9>"$tree/cgroup.procs"; } 2>/dev/null; then
    # shellcheck disable=SC2016 # for the inner shell
    LAB_ENTER=(sh -c 'echo 0 >&9; exec 9>&-; exec "$@"' sh)
fi
start_server -p 5301 container unshare --pid --fork --kill-child --mount-proc "$TOOLS_ECHO" 5301
LAB_ENTER=()
expect_recipe() { # RECIPE: empty where none helps
    local command
    "$TOOLS_CTL" doctor -j --netns "$LAB_SERVER" >"$LAB_DIR/doctor.log" || true
    command=$(field 5301 command)
    if [[ $command == *' attach --cgroup /'* ]]; then
        say "SKIP: the test cannot leave its control group"
        return
    fi
    [[ $command =~ ^${1:+sudo nsenter --target [0-9]+ --net multihomectl recipe $1 --apply}$ ]] ||
        fail "'$command' instead of the recipe '$1'"
    say "ok: ${command:-no recipe helps}"
    [ -n "$command" ] || return 0
    command=${command#sudo }
    # shellcheck disable=SC2086 # a command line
    PATH=${TOOLS_CTL%/*}:$PATH ${command% --apply} >"$LAB_DIR/said" 2>&1 || fail "$command: $(cat "$LAB_DIR/said")"
    ! grep -q 'nothing that needs it' "$LAB_DIR/said" || fail "$command has nothing to do"
}
expect_recipe two-interfaces
ip -n "$LAB_SERVER" route flush table 42
[ -z "$six" ] || ip -n "$LAB_SERVER" -6 route flush table 42
expect_recipe one-interface
ip -n "$LAB_SERVER" address del 192.0.2.3/24 dev eth0
[ -z "$six" ] || ip -n "$LAB_SERVER" address del 2001:db8:1::3/64 dev eth0
expect_recipe ''

# One that only a name holds is looked into, also where the kernel does not tell what a name stands for; not what a killed
# `ip netns` has left.
mkdir "$LAB_DIR/names"
for preload in '' "$TOOLS_OLD_KERNEL"; do
    for ((tries = 0; tries < 5; tries++)); do
        status=0
        # shellcheck disable=SC2016 # for the inner shell
        unshare --mount sh -c 'mount -t tmpfs tmpfs "$1" && : >"$1/left" && : >"$1/named" &&
            mount --bind "/run/netns/$2" "$1/named" && mount --rbind "$1" /run/netns &&
            exec env LD_PRELOAD="$3" "$4" doctor -j --all-netns' sh \
            "$LAB_DIR/names" "$LAB_CLIENT" "$preload" "$TOOLS_CTL" >"$LAB_DIR/doctor.log" || status=$?
        # Another test ends whoever is in its namespace, and doctor looks into each.
        [ "$status" -eq 143 ] || break
    done
    [ "$status" -le 1 ] || fail "doctor --all-netns: exit status $status: $(cat "$LAB_DIR/doctor.log")"
    found=$("$LAB_PYTHON" -c 'import json, sys
names = {place["netns"] for place in json.load(sys.stdin)["namespaces"]}
print(*sorted(names & {"left", "named"}))' <"$LAB_DIR/doctor.log") || fail "$(cat "$LAB_DIR/doctor.log")"
    [ "$found" = named ] || fail "doctor --all-netns has looked into '$found', should be 'named' (preloaded: '$preload')"
done

# Who may not enter it is told so, and not that all is right.
cp "$TOOLS_CTL" "$LAB_DIR/multihomectl"
chmod 755 "$LAB_DIR"
status=0
setpriv --reuid=65534 --regid=65534 --clear-groups "$LAB_DIR/multihomectl" doctor --all-netns >"$LAB_DIR/said" || status=$?
[ "$status" -ne 0 ] || fail "all is right in a network namespace that may not be entered"
grep -q "cannot enter the network namespace '$LAB_SERVER': .*: run this as root" "$LAB_DIR/said" || fail "$(cat "$LAB_DIR/said")"
