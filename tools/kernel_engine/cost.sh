#!/bin/bash
# SPDX-License-Identifier: MIT
# What the kernel engine costs on this host: nanoseconds a run of each program that is attached now, over some seconds of
# the host's own traffic, and the memory of its maps. cost.sh [SECONDS]. Counting costs a little itself and is switched off
# again (kernel.bpf_stats_enabled).
set -euo pipefail
seconds=${1:-5}
[ "$(id -u)" -eq 0 ] || { echo 'cost.sh: needs root' >&2 && exit 2; }
before=$(sysctl -n kernel.bpf_stats_enabled)
trap 'sysctl -qw "kernel.bpf_stats_enabled=$before"' EXIT
names='learn|choose_ipv[46]|took_ipv[46]|connect_ipv[46]|made'
sample() {
    bpftool prog show -j | python3 -c '
import json, re, sys
for program in json.load(sys.stdin):
    if re.fullmatch(sys.argv[1], program.get("name", "")):
        print(program["id"], program["name"], program.get("run_time_ns", 0), program.get("run_cnt", 0))' "$names"
}
sysctl -qw kernel.bpf_stats_enabled=1
first=$(sample)
sleep "$seconds"
[ -n "$first" ] || { echo 'cost.sh: the engine is not attached' >&2 && exit 1; }
printf '%-14s %10s %12s\n' PROGRAM RUNS NANOSECONDS
join <(sort <<<"$first") <(sample | sort) | awk '{ runs = $7 - $4; printf "%-14s %10d %12s\n", $2, runs,
    runs ? sprintf("%.0f", ($6 - $3) / runs) : "-" }'
echo
printf '%-16s %10s %12s\n' MAP PLACES BYTES
bpftool map show -j | python3 -c '
import json, sys
for one in json.load(sys.stdin):
    if one.get("name") in ("conversations", "arrivals", "taken"):
        print("%-16s %10d %12s" % (one["name"], one["max_entries"], one.get("bytes_memlock", "?")))'
