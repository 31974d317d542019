// SPDX-License-Identifier: MIT
//
// Undoes a connect().
#pragma once

#include "shim/base/libc.hpp"
#include "shim/packets/socket_address.hpp"
#include "shim/sockets/socket.hpp"
#include "shim/sockets/socket_calls.hpp"

namespace multihome {

// Takes the peer and the local address off a connected socket. The kernel takes off the device as well, and
// the port if the kernel itself chose it (udp_disconnect()). Puts these two back. May change errno.
// Async-signal-safe.
inline void dissolve(int fd, Socket socket) {
    const int device =
        socket.has(Socket::own_route) ? socket_calls::read(fd, SOL_SOCKET, SO_BINDTOIFINDEX) : 0;
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    socket_calls::connect(fd, &none, sizeof none);
    if (device != 0)
        socket_calls::write(fd, SOL_SOCKET, SO_BINDTOIFINDEX, device);
    if (socket.has(Socket::any_port) && socket.port() != 0) {
        // The wildcard is all zero bytes in both families. This fails where the socket has kept its port.
        const SocketAddress wildcard(socket.has(Socket::ipv6), Address{}, socket.port());
        libc::bind(fd, wildcard.get(), wildcard.length());
    }
}

} // namespace multihome
