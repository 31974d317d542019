#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The server's packet filter drops what leaves from one of its addresses, and sendto() says EPERM. Who asks there is
# answered as without the shim: from the address that the routing table prefers.
# Usage: forbidden_source.sh recvfrom|recvmsg
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need nft
need_shim
lab_topology_a
on_server nft -f - <<RULES || skip "this kernel has no nftables"
table inet filter {
    chain output {
        type filter hook output priority 0
        ip saddr 192.0.2.3 udp sport $LAB_PORT drop
    }
}
RULES

start_server bare "${LAB_ECHO[@]}" --calls "$1"
expect_answer 192.0.2.2 192.0.2.3
stop_server bare

with_shim start_server shim "${LAB_ECHO[@]}" --calls "$1"
for _ in 1 2; do
    expect_answer 192.0.2.2 192.0.2.3 --source-port 40000
    expect_right 192.0.2.2 --source-port 40000
done
stop_server shim
