#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tests' lab for lab.py: two interfaces, and whatever command comes in as a line is run in it. "done" is the line
# after what it prints. Ends with standard input. The library, which has multihomectl beside it, is in MULTIHOME_LIBRARY.
set -euo pipefail
MULTIHOMECTL=${MULTIHOME_LIBRARY%/*}/multihomectl
ENGINE_TOOL=$MULTIHOMECTL
cd "$(dirname "${BASH_SOURCE[0]}")/../../tests"
# shellcheck source-path=SCRIPTDIR/../../tests source=lab/lab.sh
. lab/lab.sh
# shellcheck source-path=SCRIPTDIR/../../tests source=lab/recipes.sh
. lab/recipes.sh
# shellcheck source-path=SCRIPTDIR/../../tests source=engine/engine.sh
. engine/engine.sh

need nft conntrack
need_shim
lab_topology_b
# The client is as many peers as there are addresses in 10.0.0.0/8.
ip -n "$LAB_CLIENT" route add local 10.0.0.0/8 dev lo
ip -n "$LAB_SERVER" route add default via 198.51.100.1 dev eth1 table 42
while read -r command; do
    eval "$command" </dev/null
    echo "done"
done
