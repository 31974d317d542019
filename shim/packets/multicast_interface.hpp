// SPDX-License-Identifier: MIT
//
// What the program chose with IP_MULTICAST_IF, while connect uses the option for itself. By who has the turn
// (multicast_turn.hpp).
#pragma once

#include "shim/sockets/socket.hpp"

#include <netinet/in.h>

namespace multihome {

class MulticastInterface {
public:
    MulticastInterface(int fd, Socket socket) : fd_(fd), socket_(socket) {}

    // Multicast leaves from `address`. False, and nothing done, where what the program chose could not be put
    // back, or the kernel refuses.
    bool set(in_addr address);
    void put_back() const;

private:
    bool read_choice();
    bool find_choice();

    int fd_;
    Socket socket_;
    ip_mreqn choice_{};
};

} // namespace multihome
