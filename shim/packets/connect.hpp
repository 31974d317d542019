// SPDX-License-Identifier: MIT
//
// Gives a connected socket the right local address. connect() on a wildcard socket makes the kernel choose
// that address by route. From then on the socket hears nothing that is sent to another one. So a socket that
// connects to a peer which we have heard gets the address that the peer asked.
#pragma once

#include "shim/sockets/sockets.hpp"

namespace multihome::connect {

// Makes a connect(). Steers it on a socket of ours, or on an unbound one that is about to answer for one of
// ours. `socket`: the descriptor's word. The other arguments are those of the interposed function. Returns
// what libc returns. A cancellation point, and async-signal-safe, as connect() is.
int to(Socket socket, int fd, const sockaddr* address, socklen_t length);

// Called before an unbound socket sends to `address` for the first time. Takes the socket over if it answers
// for a socket of ours. Returns the descriptor's new word. Leaves errno alone. Async-signal-safe.
Socket before_first_send(Socket socket, int fd, const sockaddr* address, socklen_t length);

// getsockopt() of an option that the kernel reads from the route which connect() has noted (Concern::path):
// the program's arguments, and libc's result. A connect() of ours leaves none noted. Async-signal-safe.
int read_path(int fd, int level, int name, void* value, socklen_t* length);

} // namespace multihome::connect
