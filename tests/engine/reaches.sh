#!/bin/bash
# SPDX-License-Identifier: MIT
# What preloading cannot reach, and the engine can: reaches.sh go|static|musl|setuid|uring. Each server is asked bare, is
# then attached to without a restart, asked again at all addresses, and bare once more after the engine is gone.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
kind=$1
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
as_nobody=()
case $kind in
setuid) server=$(program echo_static) || { say "$server" && exit 77; } ;;
*) server=$(program "echo_$kind") || { say "$server" && exit 77; } ;;
esac
lab_topology_b
lab_policy_rule
engine_start
if [ "$kind" = setuid ]; then
    need setpriv
    cp "$server" "$LAB_DIR/echo"
    chmod 4755 "$LAB_DIR/echo"
    server=$LAB_DIR/echo
    # The kernel starts it with other rights than its caller's, so the loader would drop LD_PRELOAD.
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
# A port for each family, and all servers at once.
families=(v4)
[ ! -e /proc/sys/net/ipv6 ] || families+=(v6 dual)
declare -A port=([v4]=5301 [v6]=5302 [dual]=5303)
for family in "${families[@]}"; do
    in_group start_server -p "${port[$family]}" "$family" "${as_nobody[@]}" "$server" "${port[$family]}" "$family"
done

for family in "${families[@]}"; do
    LAB_PORT=${port[$family]}
    case $family in v6) expect_bare_wrong 2001:db8:1::3 ;; *) expect_bare_wrong 198.51.100.2 ;; esac
done
engine_attach
for family in "${families[@]}"; do
    LAB_PORT=${port[$family]}
    [ "$family" = v6 ] || for address in "${ENGINE_V4[@]}"; do expect_right "$address"; done
    [ "$family" = v4 ] || for address in "${ENGINE_V6[@]}"; do expect_right "$address"; done
done
[ "$(counter sources_named)" -gt 0 ] || fail "the engine named no source"
engine_detach
expect_bare_wrong "$address"
