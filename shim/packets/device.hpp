// SPDX-License-Identifier: MIT
//
// The device that a socket is bound to. Multicast leaves through no other, and the kernel takes it off
// together with a peer.
#pragma once

#include "shim/sockets/socket.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <atomic>

namespace multihome {

// Returns the index of the device that the socket is bound to; 0 where it is bound to none. Asks the kernel
// only where it may be bound: what takes time before a connect() costs other clients' datagrams. May change
// errno. Async-signal-safe.
inline int device_of(int fd, Socket socket) {
    // A program on the control group may bind each socket that this process makes ("ip vrf exec"). True once
    // it turns out that there is none. Relaxed: a thread that reads it too early makes one more system call.
    constinit static std::atomic<bool> are_made_unbound{false};
    // By the program, or by a connect() to a link-local peer.
    const bool may_be_bound_later =
        socket.has(Socket::own_route) || (socket.has(Socket::ipv6) && socket.has(Socket::has_address));
    if (!may_be_bound_later && are_made_unbound.load(std::memory_order_relaxed))
        return 0;
    const int device = socket_calls::device(fd);
    if (!may_be_bound_later && device == 0)
        are_made_unbound.store(true, std::memory_order_relaxed);
    return device;
}

} // namespace multihome
