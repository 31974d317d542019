// SPDX-License-Identifier: MIT
//
// The local address of a connected socket. connect() on a wildcard socket makes the kernel choose it by
// route, and the socket then hears nothing that is sent to another one. So before we connect a socket to a
// peer that has been heard, we make the address that the peer used the socket's own.
#pragma once

#include "shim/sockets/sockets.hpp"

namespace multihome::connect {

// connect() on a socket of ours, or on an unbound one that may be about to answer for one of ours. Takes the
// interposed function's arguments, returns what libc returns.
int to(Socket socket, int fd, const sockaddr* address, socklen_t length);

// An unbound socket is about to send to `address` for the first time: takes it over if it answers for a
// socket of ours. Returns what the socket is now. Leaves errno alone.
Socket before_first_send(Socket socket, int fd, const sockaddr* address, socklen_t length);

} // namespace multihome::connect
