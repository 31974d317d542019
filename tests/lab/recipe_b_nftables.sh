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
nft_or_skip recipe_b_translation.nft
forget_flows
say "with the translation alone: the right address, through the wrong uplink"
expect_answer "198.51.100.2 via up0" 198.51.100.2 --via
nft_or_skip recipe_b_marks.nft
forget_flows
recipe_b_after
