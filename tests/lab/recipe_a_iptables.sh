#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Kernel recipe A with iptables.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need iptables conntrack
lab_topology_a
recipe_a_before
iptables_or_skip -t nat -A PREROUTING -i eth0 -m addrtype --dst-type LOCAL -p udp -j REDIRECT
forget_flows
recipe_a_after
