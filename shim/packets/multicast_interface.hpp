// SPDX-License-Identifier: MIT
//
// What the program chose with IP_MULTICAST_IF, while connect uses the option for itself. By who has the turn
// (multicast_turn.hpp).
#pragma once

#include "shim/packets/socket_address.hpp"
#include "shim/sockets/socket.hpp"

#include <netinet/in.h>

namespace multihome {

// The group that a socket is connected to, so that IP_MULTICAST_IF chooses its local address.
inline SocketAddress any_group(bool ipv6) {
    return {ipv6, Address::from_ipv4({htonl(INADDR_ALLHOSTS_GROUP)}), discard_port()};
}

class MulticastInterface {
public:
    MulticastInterface(int fd, Socket socket) : fd_(fd), socket_(socket) {}

    // Multicast leaves from `address`. False, and nothing done, where what the program chose could not be put
    // back, or the kernel refuses.
    bool set(in_addr address);
    // After that: from the same address, through loopback. False where the kernel refuses.
    bool set_on_loopback(in_addr address) const;
    bool put_back() const;

private:
    bool read_choice();
    bool find_choice();

    int fd_;
    Socket socket_;
    ip_mreqn choice_{};
};

} // namespace multihome
