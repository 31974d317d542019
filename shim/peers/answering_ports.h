/* SPDX-License-Identifier: MIT */
/*
 * Which ports servers answer from, beside those below 1024: those that many programs of a host ask. None of
 * them is one that Linux gives to clients (net.ipv4.ip_local_port_range). Plain C: the shim includes it, and
 * the kernel engine's programs.
 */
#ifndef MULTIHOME_SHIM_PEERS_ANSWERING_PORTS_H
#define MULTIHOME_SHIM_PEERS_ANSWERING_PORTS_H

/* OpenVPN, RADIUS, SSDP, STUN, IPsec behind NAT, SIP, NAT-PMP, mDNS, LLMNR, CoAP, memcached: in order. */
#define MULTIHOME_ANSWERING_PORTS                                                                            \
    1194, 1812, 1813, 1900, 3478, 4500, 5060, 5061, 5351, 5353, 5355, 5683, 5684, 11211

#endif
