#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A wildcard socket that is bound to an interface (SO_BINDTODEVICE), as DHCP-like servers have it. Its unicast answers
# come from the address that was asked. A broadcast or multicast request of a peer beyond the link is answered as
# without the shim: the kernel's ipi_spec_dst does not know of the binding and names an address of another interface.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

need_shim
lab_topology_b
ip -n "$LAB_SERVER" address add 198.51.100.3/24 dev eth1
rp_filter 2 eth1 # the peer is behind the default route, so strict checking would drop what it sends to eth1
serve=("${LAB_ECHO[@]}" --bind-to-device eth1 --join 239.1.1.1 eth1)
beyond=(--interface up1 --source 203.0.113.1)

start_server bare "${serve[@]}"
expect_bare_wrong 198.51.100.3
for request in 239.1.1.1 198.51.100.255 255.255.255.255; do
    expect_answer 198.51.100.2 "$request" --broadcast "${beyond[@]}"
done
stop_server bare

with_shim start_server shim "${serve[@]}"
for _ in 1 2; do
    expect_answer "198.51.100.3 via up1" 198.51.100.3 --via
    for request in 239.1.1.1 198.51.100.255 255.255.255.255; do
        expect_answer 198.51.100.2 "$request" --broadcast "${beyond[@]}"
    done
done
stop_server shim
