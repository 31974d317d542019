// SPDX-License-Identifier: MIT
//
// Connecting a socket so that its local address becomes one that the routing table would not choose.
//
// A bound socket cannot be bound again. But the kernel sets a wildcard socket's local address at its first
// connect() and keeps it at the next. So the first one goes to where the kernel has no choice: for IPv6 to
// the wanted address itself; for IPv4, where a secondary address would not be chosen then, to a multicast
// group, whose source IP_MULTICAST_IF names. Nothing is sent. Between the two a datagram of the peer's has no
// socket to go to, so nothing else stands between them.
#pragma once

#include "shim/base/address.hpp"
#include "shim/sockets/socket.hpp"

#include <sys/socket.h>

namespace multihome::steering {

// connect() of a socket that is ours or unbound to `peer`, which is what `address` says, from `local` if the
// kernel takes that, else as the program's connect() alone. Returns what libc returns. A cancellation point,
// but not in between.
int connect(Socket socket, int fd, const Peer& peer, const sockaddr* address, socklen_t length,
            const Local& local);

} // namespace multihome::steering
