// SPDX-License-Identifier: MIT
//
// The packet-information options. We need them switched on; the program sees what it has asked for itself.
#pragma once

#include "shim/sockets/sockets.hpp"

namespace multihome::options {

// Switches on what we need on a socket of the given family, and returns the option bits for its word: what
// the program had asked for before, and our mark. `seen_made`: the socket was made in this process, so that a
// mark on it is not ours. False, with errno set, where the kernel refuses.
bool prepare(int fd, bool ipv6, bool seen_made, uint64_t& bits);

// bind() on a socket of ours, which works only where connect() to AF_UNSPEC has taken its port away: our
// mark, which would leave it without a port, stands aside.
int bind_again(int fd, Socket socket, const sockaddr* address, socklen_t length);

// True where another process, or another part of this one, has put our mark on the socket.
bool is_marked(int fd, bool ipv6);

// Leaves the socket as it would be without us. Leaves errno alone.
void give_back(int fd, Socket socket);

// setsockopt() and getsockopt() on a socket of ours, with the program's arguments and libc's results.
int set(int fd, Socket socket, int level, int name, const void* value, socklen_t length);
int get(int fd, Socket socket, int level, int name, void* value, socklen_t* length);

// True where set() and get() have something to hide; other options go straight on to libc.
constexpr bool concerns(int level, int name) {
    // By number, to keep the many headers out of this one: IP_PKTINFO and IP_BIND_ADDRESS_NO_PORT of
    // IPPROTO_IP, IPV6_RECVPKTINFO and IPV6_2292PKTINFO of IPPROTO_IPV6. options.cpp asserts that they are
    // right.
    if (level == 0)
        return name == 8 || name == 24;
    return level == 41 && (name == 49 || name == 2);
}

// IP_MULTICAST_IF on any socket: remembers the interface that the program names, because the kernel does not
// tell it again and connect::to() has to put it back.
int set_multicast_interface(int fd, int level, int name, const void* value, socklen_t length);

// SO_BINDTODEVICE or SO_BINDTOIFINDEX on any socket: remembers whether there is a device.
int set_device(int fd, int level, int name, const void* value, socklen_t length);

constexpr bool is_device(int level, int name) {
    return level == SOL_SOCKET && (name == 25 || name == 62);
}

constexpr bool is_multicast_interface(int level, int name) {
    return level == 0 && name == 32;
}

} // namespace multihome::options
