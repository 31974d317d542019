// SPDX-License-Identifier: MIT
// The UDP sockets of a network namespace, as the kernel lists them (sock_diag(7)).
#pragma once

#include <cstdint>
#include <vector>

#include "shim/base/address.hpp"

namespace multihome::tools {

struct UdpSocket {
    Address address; ///< what it is bound to
    std::uint16_t port = 0;
    bool ipv6 = false;           ///< an AF_INET6 socket
    bool ipv6_only = false;      ///< which takes no IPv4 datagrams
    std::uint32_t interface = 0; ///< bound to this one, or 0
    std::uint64_t inode = 0;
    std::uint64_t control_group =
        0; ///< in which it was made, for good; 0 where the kernel (before 5.9) does not say
};

/// All sockets with a local port and without a peer, in the namespace of this thread. Throws Impossible.
std::vector<UdpSocket> list_unconnected_udp_sockets();

} // namespace multihome::tools
