#!/bin/bash
# SPDX-License-Identifier: MIT
# A process that has the shim and the engine is answered once, and rightly; so is one beside it that has only one of them.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
lab_topology_b
lab_policy_rule
engine_start
need_shim
shim_in_group() { with_shim start_server "$@"; }
in_group shim_in_group -p 5301 both "${LAB_ECHO[@]}" --family dual --port 5301
in_group start_server -p 5302 engine "${LAB_ECHO[@]}" --family dual --port 5302
with_shim start_server -p 5303 shim "${LAB_ECHO[@]}" --family dual --port 5303
said=$("$ENGINE_TOOL" attach --cgroup "$ENGINE_GROUP")
[[ $said == *"libmultihome.so preloaded"* ]] || fail "attach does not say that the shim is there: $said"
addresses=("${ENGINE_V4[@]}")
[ ! -e /proc/sys/net/ipv6 ] || addresses+=("${ENGINE_V6[@]}")
for LAB_PORT in 5301 5302 5303; do
    for address in "${addresses[@]}"; do expect_right "$address"; done
done
# Asked for two answers, a second one would show. A busy machine may take long for the first.
LAB_PORT=5301
answers=$(ask 198.51.100.2 --answers 2 --timeout 3)
[ "$(grep -cv none <<<"$answers")" -eq 1 ] || fail "answered more than once: $answers"
expect_exact() { awk '$1 != $2 { exit 1 }' || fail "with both, one port that asks two addresses is answered wrongly"; }
ask 192.0.2.3,198.51.100.2 --count 50 --pipeline 2 | expect_exact
