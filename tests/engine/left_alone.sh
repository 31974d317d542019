#!/bin/bash
# SPDX-License-Identifier: MIT
# What the engine leaves to the routing table: broadcast questions over a link without Ethernet, which the kernel marks as
# sent to this host alone; a link-local client that is heard on two links.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
server=$(program echo_static) || { say "$server" && exit 77; }
need nsenter
lab_topology_b
engine_start

in_group start_server server "$server" "$LAB_PORT" dual
ip -n "$LAB_SERVER" address add 10.9.0.1/24 dev lo
expect_local() { # ANSWER ADDRESS [OPTION...]: asked on the server itself
    local answer
    answer=$(on_server "$LAB_PYTHON" "$LAB_HERE/ask.py" "${@:3}" "$2" "$LAB_PORT") || true
    [ "$answer" = "$1" ] || fail "asked $2, answered from $answer, should be $1"
    say "ok: asked $2, answered from $answer"
}
for mode in bare engine; do
    say "$mode"
    # In the server's namespace, whose links it looks at. `ip netns exec` would hide the tree of control groups.
    [ "$mode" = bare ] || nsenter "--net=/run/netns/$LAB_SERVER" "$ENGINE_TOOL" attach -q --cgroup "$ENGINE_GROUP"
    expect_local 127.0.0.1 127.255.255.255 --broadcast
    expect_local 10.9.0.1 10.9.0.255 --broadcast
done
expect_right 192.0.2.3

[ -e /proc/sys/net/ipv6 ] || exit 0
from_one_port=(--source-port 40000)
expect_right fe80::3%up0 "${from_one_port[@]}"
expect_right fe80::3%up0 "${from_one_port[@]}"
for link in up1 up0; do
    expect_answer fe80::2 "fe80::3%$link" "${from_one_port[@]}"
done
expect_right fe80::3%up0 --source-port 40001
