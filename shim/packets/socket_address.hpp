// SPDX-License-Identifier: MIT
//
// A socket address to hand to the kernel.
#pragma once

#include "shim/base/address.hpp"

#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome {

class SocketAddress {
public:
    // `address` and `port` (network byte order) for a socket of the given family; IPv4 is mapped for an IPv6
    // one.
    SocketAddress(bool ipv6, const Address& address, in_port_t port, uint32_t scope = 0) {
        if (ipv6) {
            sockaddr_in6 name{};
            name.sin6_family = AF_INET6;
            name.sin6_addr = address.ipv6();
            name.sin6_port = port;
            name.sin6_scope_id = scope;
            set(name);
        } else {
            sockaddr_in name{};
            name.sin_family = AF_INET;
            name.sin_addr = address.ipv4();
            name.sin_port = port;
            set(name);
        }
    }

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t length() const { return length_; }

private:
    template <typename Name>
    void set(const Name& name) {
        std::memcpy(&storage_, &name, sizeof name);
        length_ = sizeof name;
    }

    sockaddr_storage storage_{};
    socklen_t length_ = 0;
};

} // namespace multihome
