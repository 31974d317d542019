// SPDX-License-Identifier: MIT
//
// A socket address to hand to the kernel.
#pragma once

#include "shim/base/address.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome {

// A port to connect to where nothing is sent. Any port does.
inline in_port_t discard_port() {
    return htons(9);
}

class SocketAddress {
public:
    // For a socket of this family: an IPv6 one gets an IPv4 address in its mapped form. `port`: network byte
    // order. `scope`: the interface of a link-local address.
    SocketAddress(bool ipv6, const Address& address, in_port_t port, uint32_t scope = 0) : is_ipv6_(ipv6) {
        if (ipv6)
            name_.ipv6 = {AF_INET6, port, 0, address.ipv6(), scope};
        else
            name_.ipv4 = {AF_INET, port, address.ipv4(), {}};
    }

    const sockaddr* get() const { return &name_.any; }
    socklen_t length() const { return is_ipv6_ ? sizeof name_.ipv6 : sizeof name_.ipv4; }

private:
    union {
        sockaddr any;
        sockaddr_in ipv4;
        sockaddr_in6 ipv6;
    } name_{};
    bool is_ipv6_;
};

} // namespace multihome
