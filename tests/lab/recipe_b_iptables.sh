#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Kernel recipe B with iptables. See recipe_b_nftables.sh for what each step does.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need iptables conntrack
lab_topology_b
recipe_b_before
recipe_b_routes
iptables_or_skip -t nat -A PREROUTING -i eth1 -m addrtype --dst-type LOCAL -p udp -j DNAT --to-destination 192.0.2.2
forget_flows
say "with the translation alone: the right address, through the wrong uplink"
expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
iptables_or_skip -t mangle -A INPUT -i eth1 -j MARK --set-mark "$RECIPE_MARK"
iptables_or_skip -t mangle -A INPUT -i eth1 -j CONNMARK --save-mark
iptables_or_skip -t mangle -A OUTPUT -j CONNMARK --restore-mark
forget_flows
recipe_b_after
