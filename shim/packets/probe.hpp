// SPDX-License-Identifier: MIT
//
// Asks the kernel whether it would take a source, without sending anything.
#pragma once

#include <sys/socket.h>

namespace multihome::probe {

// True where the kernel finds no way for this message, be it because of the source in its control messages or
// because of the destination. Errors that neither can be the reason of do not count. False as well where a
// datagram may be being put together (MSG_MORE, UDP_CORK), which a probe would send. Leaves errno alone.
// Async-signal-safe.
bool fails(int fd, const msghdr& message);

// The same after a call that failed, with errno as it left it: saves the system call for other errors.
bool fails_after(int fd, const msghdr& message);

// The same after a call with these flags that has sent others, and stopped at this message.
bool fails_behind(int fd, const msghdr& message, int flags);

// A call with `message`, whose last control message is a source of ours, has failed with errno as it left it:
// true where the same call is worth another try, because the source is local by a route only and is allowed
// now.
bool allows_now(int fd, const msghdr& message);

} // namespace multihome::probe
