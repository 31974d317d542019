#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Kernel recipe A with nftables: redirect to the interface's primary address; connection tracking puts the original
# address back on the answer.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need nft conntrack
lab_topology_a
recipe_a_before
nft_or_skip recipe_a.nft
forget_flows
recipe_a_after
