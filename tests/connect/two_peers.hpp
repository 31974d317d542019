// SPDX-License-Identifier: MIT
//
// A server whose socket is connected to one of two clients, which have asked it at two of its addresses.
#pragma once

#include "tests/transparency/probe.hpp"

// What the command line calls a family. IPv6 addresses are in a network namespace of the test's own.
inline const probe::Addresses& addresses_of(std::string_view family) {
    if (family == "v4")
        return probe::ipv4_addresses;
    probe::own_namespace();
    return probe::ipv6_addresses;
}

// A server on a port that is chosen by number: such a one stays when the peer is taken off.
inline int bound_by_number(const char* address) {
    static in_port_t next_port = 20000;
    const int fd = socket(probe::Name(address, 0).storage.ss_family, SOCK_DGRAM, 0);
    for (;; ++next_port) {
        probe::must(next_port < 30000, "a free port");
        const probe::Name own(address, htons(next_port));
        if (bind(fd, own.get(), own.length) == 0)
            return fd;
    }
}

// The first peer has asked at at.asked, the second at at.other.
inline int server(const probe::Addresses& at, probe::Name (&peers)[2]) {
    const int fd = bound_by_number(at.server);
    probe::Client clients[]{probe::Client(at.client), probe::Client(at.client)};
    for (unsigned number = 0; number < 2; ++number) {
        clients[number].ask(fd, number == 0 ? at.asked : at.other);
        char data[16];
        peers[number].length = sizeof peers[number].storage;
        probe::must(recvfrom(fd, data, sizeof data, 0, peers[number].get(), &peers[number].length) == 8,
                    "recvfrom");
    }
    return fd;
}

// The interface for groups, which the shim changes for a moment.
inline int multicast_option(const probe::Addresses& at) {
    return at.server == probe::ipv4_addresses.server ? IP_MULTICAST_IF : IPV6_MULTICAST_IF;
}
inline int multicast_level(const probe::Addresses& at) {
    return at.server == probe::ipv4_addresses.server ? IPPROTO_IP : IPPROTO_IPV6;
}
// An address of IPv4 or an index of IPv6, as the kernel has it.
inline uint32_t multicast_interface(int fd, const probe::Addresses& at) {
    uint32_t chosen = 0;
    socklen_t length = sizeof chosen;
    probe::must(getsockopt(fd, multicast_level(at), multicast_option(at), &chosen, &length) == 0,
                "the interface for groups");
    return chosen;
}

inline bool equal(const probe::Name& one, const probe::Name& other) {
    return one.port() == other.port() && one.address() == other.address();
}
