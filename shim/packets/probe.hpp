// SPDX-License-Identifier: MIT
//
// Asks the kernel whether it would take a source, without sending anything.
#pragma once

#include <sys/socket.h>

namespace multihome::probe {

// True where the kernel finds no way for this message, which has no data. The reason may be the source in its
// control messages or the destination: errors that neither can cause do not count. True as well where we may
// not ask the kernel. False where a datagram is in the making (MSG_MORE, UDP_CORK), because then the kernel
// looks at neither. Leaves errno alone. Async-signal-safe, as all of these.
bool fails(int fd, const msghdr& message);

// The same after a call that failed, with errno as that call left it. Asks the kernel only if a source can
// cause this error.
bool fails_after(int fd, const msghdr& message);

// True where another try of what has failed would show: what is sent is a part of a datagram (UDP_CORK), or
// each failure has an entry in the error queue (IP_RECVERR). Leaves errno alone.
bool shows_another_try(int fd);

// Called after a call with `message` failed, with errno as that call left it. The message's last control
// message is a source of ours. True where the same call is worth another try: the source is local by a route
// only, and the socket may use it from now on.
bool allows_now(int fd, const msghdr& message);

} // namespace multihome::probe
