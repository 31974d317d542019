// SPDX-License-Identifier: MIT
//
// Asks the kernel whether it would take a source, without sending anything.
#pragma once

#include <sys/socket.h>

namespace multihome::probe {

// True where the kernel finds no way for this message, be it because of the source in its control messages or
// because of the destination. Errors that neither can be the reason of do not count. Leaves errno alone.
// Async-signal-safe.
bool fails(int fd, const msghdr& message);

// The same after a call that failed, with errno as it left it: saves the system call for other errors.
bool fails_after(int fd, const msghdr& message);

} // namespace multihome::probe
