// SPDX-License-Identifier: MIT
//
// Receiving on a socket of ours: one real call with room for our control message, which is read, hidden, and
// remembered for the answer.
//
// The descriptor's word says that it is ours. Each function takes the interposed function's arguments and
// returns what libc returns. They may be cancelled where the libc function may be, and are async-signal-safe
// where it is.
#pragma once

#include "shim/sockets.hpp"

#include <ctime>
#include <sys/types.h>

namespace multihome::receive {

ssize_t one(int fd, void* buffer, size_t length, int flags, sockaddr* address, socklen_t* address_length);
ssize_t one(int fd, msghdr* message, int flags);
int many(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout);

} // namespace multihome::receive
