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

// True where a plain connect() comes first, and only then whether it has chosen the right address. Until its
// first connect() a bound socket takes the datagrams of others: where no socket of this process had to be
// steered yet, nothing of ours makes that time longer.
bool begins_with_connect(Socket socket);

// connect() of a socket that is ours or unbound to `peer`, which is what `address` says, from `local` if the
// kernel takes that, else as the program's connect() alone. `is_connected`: that has succeeded. Returns what
// libc returns. A cancellation point, but not in between.
int connect(Socket socket, int fd, const Peer& peer, const sockaddr* address, socklen_t length,
            const Local& local, bool is_connected);

} // namespace multihome::steering
