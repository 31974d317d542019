#!/bin/bash
# SPDX-License-Identifier: MIT
# Who attaches may see another part of the tree of control groups than who looks: a container that shares the pins with its
# host, a shell that has come into a container's namespace and still has the host's tree, a part of the tree that is mounted
# alone. Each is told of the control group that is meant, by the name that it has there.
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
unshare --cgroup true 2>/dev/null || skip "no namespace of control groups can be made"
tree=$(engine_tree)
# systemd writes a dash in a name as a backslash and a number.
above=$ENGINE_GROUP/'a\x2dcontainer'
inside=$above/inside beside=$above/beside
path=${above#"$tree"}
# The second one is called so from inside as well, and is another one.
mkdir "$above" "$inside" "$inside/served" "$inside/beside" "$beside"

# shellcheck disable=SC2016 # for the inner shell
in_namespace() { sh -c 'echo $$ >"$0/cgroup.procs" && exec unshare --cgroup "$@"' "$inside" "$@"; }
# shellcheck disable=SC2016
in_container() { # as most have it: the tree begins there, too
    in_namespace unshare --mount sh -c 'umount -l "$0" && mount -t cgroup2 none "$0" && exec "$@"' "$tree" "$@"
}
# shellcheck disable=SC2016
on_a_part() { unshare --mount sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$inside" "$tree" "$@"; }

start_in() { # GROUP NAME PORT
    exec 9>"$1/cgroup.procs"
    in_group start_server -p "$3" "$2" "$server" "$3" v4
}
start_in "$inside/served" served 5301
start_in "$beside" beside 5302

expect_listed() { # PATH WHERE...: the one that is attached, as it is called there
    local said
    # Its status tells of other tests, too.
    said=$({ "${@:2}" "$ENGINE_TOOL" list || true; } | awk -v group="${1##*/}" '$2 == "attached" && ($1 == "?" || $1 ~ group "$")' | cut -d' ' -f1)
    grep -qxF -e "$1" <<<"$said" || fail "list, ${*:2}: '$said', should be $1"
    say "ok: list, ${*:2}: $1"
}

# By its process: from each place it is the same control group, and none of the same name.
for where in env in_namespace in_container on_a_part; do
    "$where" "$ENGINE_TOOL" attach -q --pid "$(server_pid served)" || fail "$where: attach --pid"
    LAB_PORT=5301 expect_right 198.51.100.2
    LAB_PORT=5302 expect_bare_wrong 198.51.100.2
    expect_listed "$path/inside/served" env
    "$ENGINE_TOOL" detach -q --cgroup "$inside/served"
done
# What lies outside is named where that is possible, and refused elsewhere.
in_namespace "$ENGINE_TOOL" attach -q --pid "$(server_pid beside)" || fail "attach --pid, from another namespace"
LAB_PORT=5302 expect_right 198.51.100.2
expect_listed "$path/beside" env
expect_listed '?' in_container
# Several are called so, and Prometheus takes no two series of one name.
"$ENGINE_TOOL" attach -q --cgroup "$above"
twice=$(in_container "$ENGINE_TOOL" stats --prometheus | sed -n 's/^\(multihome_engine_[^ ]*\) .*/\1/p' | sort | uniq -d)
[ -z "$twice" ] || fail "stats --prometheus, in_container: twice: $twice"
"$ENGINE_TOOL" detach -q --cgroup "$above"
"$ENGINE_TOOL" detach -q --cgroup "$beside"
for where in in_container on_a_part; do
    status=0
    said=$("$where" "$ENGINE_TOOL" attach --pid "$(server_pid beside)" 2>&1) || status=$?
    [[ $status-$said == 2-*"not among those below $tree" ]] || fail "$where: status $status: $said"
    say "ok: $where: $said"
done

# All that a container sees is not the whole host.
in_container "$ENGINE_TOOL" attach -q --all
expect_listed "$path/inside" env
LAB_PORT=5301 expect_right 198.51.100.2
LAB_PORT=5302 expect_bare_wrong 198.51.100.2
for where in env in_namespace in_container on_a_part; do
    expect_verdict 5301 ok "$where"
    expect_verdict 5302 wrong "$where"
done
"$ENGINE_TOOL" detach -q --cgroup "$inside"
