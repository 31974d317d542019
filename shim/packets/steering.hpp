// SPDX-License-Identifier: MIT
//
// Connects a socket so that it gets a local address that the routing table would not choose.
//
// A bound socket cannot be bound again. But the kernel sets a wildcard socket's local address at its first
// connect(), and keeps it at the next. So the first connect() goes where the kernel has no choice. For IPv6
// that is the wanted address itself. For IPv4 the kernel would not choose a secondary address that way, so it
// is a multicast group, for which IP_MULTICAST_IF names the source. Nothing is sent. Between the two calls a
// datagram of the peer's has no socket to go to, so nothing else stands between them.
#pragma once

#include "shim/base/address.hpp"
#include "shim/sockets/socket.hpp"

#include <sys/socket.h>

namespace multihome::steering {

// True where a plain connect() comes first, and we look at the address that it chose only afterwards. A bound
// socket takes everybody's datagrams until its first connect(). While this process has steered nothing, that
// time is as short as without us. Async-signal-safe.
bool begins_with_connect(int fd, Socket socket);

// Connects a socket that is ours or unbound to `peer`, which is what `address` says: from `local` if the
// kernel takes that, else as the program's connect() alone would. `is_connected`: that connect() has been
// made, and has succeeded. Returns what libc returns. A cancellation point before its first system call, and
// not between two of them. Async-signal-safe.
int connect(Socket socket, int fd, const Peer& peer, const sockaddr* address, socklen_t length,
            const Local& local, bool is_connected);

} // namespace multihome::steering
