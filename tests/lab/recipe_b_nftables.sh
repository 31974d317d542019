#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Kernel recipe B with nftables: mark what comes in on the second interface, save the mark to the connection, restore
# it on the answer, which is then routed again by it, and translate the request to the primary address. No step can be
# left out, and the test leaves one out to show it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need nft conntrack
lab_topology_b
recipe_b_before
recipe_b_routes
nft_or_skip <<'RULES'
table ip multihome {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        iifname "eth1" meta l4proto udp fib daddr type local counter dnat to 192.0.2.2
    }
}
RULES
forget_flows
say "with the translation alone: the right address, through the wrong uplink"
expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
nft_or_skip <<'RULES'
table ip multihome {
    chain input {
        type filter hook input priority mangle; policy accept;
        iifname "eth1" meta mark set 0x42 ct mark set mark
    }
    chain output {
        type route hook output priority mangle; policy accept;
        meta mark set ct mark
    }
}
RULES
forget_flows
recipe_b_after
