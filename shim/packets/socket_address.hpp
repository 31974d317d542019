// SPDX-License-Identifier: MIT
//
// Socket addresses to hand to the kernel, and the one that undoes a connect().
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/libc.hpp"
#include "shim/packets/device.hpp"
#include "shim/sockets/socket.hpp"
#include "shim/sockets/socket_calls.hpp"

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

// Takes the peer and the local address off a connected socket. The kernel takes off the device as well, and
// the port if the kernel itself chose it (udp_disconnect()). Puts these two back. May change errno.
// Async-signal-safe.
inline void dissolve(int fd, Socket socket) {
    const int device = device_of(fd, socket);
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    socket_calls::connect(fd, &none, sizeof none);
    if (device != 0)
        socket_calls::write(fd, SOL_SOCKET, SO_BINDTOIFINDEX, device);
    if (socket.loses_port()) {
        // The wildcard is all zero bytes in both families. This fails where the socket has kept its port.
        const SocketAddress wildcard(socket.has(Socket::ipv6), Address{}, socket.port());
        libc::bind(fd, wildcard.get(), wildcard.length());
    }
}

} // namespace multihome
