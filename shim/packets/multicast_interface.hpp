// SPDX-License-Identifier: MIT
//
// Keeps what the program chose with IP_MULTICAST_IF while connect uses that option for itself. Only the
// thread that has the turn (multicast_turn.hpp) may use it.
#pragma once

#include "shim/packets/socket_address.hpp"
#include "shim/sockets/socket.hpp"

#include <netinet/in.h>

namespace multihome {

// A group to connect a socket to: then IP_MULTICAST_IF chooses the socket's local address.
inline SocketAddress any_group(bool ipv6) {
    return {ipv6, Address::from_ipv4({htonl(INADDR_ALLHOSTS_GROUP)}), discard_port()};
}

// All functions may change errno, and are async-signal-safe.
class MulticastInterface {
public:
    MulticastInterface(int fd, Socket socket) : fd_(fd), socket_(socket) {}

    // Makes multicast leave from `address` (network byte order). False, and nothing done, where the program's
    // choice could not be put back, or where the kernel refuses.
    bool set(in_addr address);
    // After set(): makes it leave from the same address, through loopback. False where the kernel refuses.
    bool set_on_loopback(in_addr address) const;
    // Puts the program's choice back. False where the kernel refuses.
    bool put_back() const;

private:
    // Both find out what the program chose. False where that cannot be known.
    bool read_choice();
    bool find_choice();

    int fd_;
    Socket socket_;
    ip_mreqn choice_{};
};

} // namespace multihome
